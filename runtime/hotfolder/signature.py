"""Signatures of files: whether a file is still the same."""

import re
import stat
from pathlib import Path
from typing import NamedTuple

_NUMBER = re.compile("(-?[0-9]+)-?")
"""A number of a signature that was written as text; times before 1970 are negative."""


class Signature(NamedTuple):
    """Changes whenever a file is written or replaced. Times are only ever compared for equality."""

    inode: int
    size: int
    modified: int
    """Nanoseconds."""
    changed: int
    """Nanoseconds; changes of name and permissions count too."""

    def __str__(self) -> str:
        return "-".join(map(str, self))

    def has_same_content(self, other: "Signature") -> bool:
        """Return whether the content is the same, even if the file was renamed."""
        return self[:3] == other[:3]


def signature_of(path: Path) -> Signature | None:
    """Return the signature of a regular file; None for anything else, including a link to one."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Signature(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def signature_in(folder: Path, path: Path) -> Signature | None:
    """Return the signature of a regular file in a folder; None also if a linked folder leads to it."""
    if any((folder / parent).is_symlink() for parent in path.parents[:-1]):
        return None
    return signature_of(folder / path)


def read_signature(text: str) -> Signature:
    """Return the signature that `str` wrote."""
    return Signature(*map(int, _NUMBER.findall(text)))
