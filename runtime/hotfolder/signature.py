"""Telling whether a file is still the one that it was."""

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple


class Signature(NamedTuple):
    """What changes whenever a file is written or replaced. Times are only ever compared for equality."""

    inode: int
    size: int
    modified: int
    """Nanoseconds."""
    changed: int
    """Nanoseconds; of names and permissions too."""

    def __str__(self) -> str:
        return "-".join(map(str, self))

    def has_same_content(self, other: "Signature") -> bool:
        """Return whether a file may only have been renamed."""
        return self[:3] == other[:3]


def signature_of(path: Path) -> Signature | None:
    """Return the signature of a regular file; None for anything else, a link to one included."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Signature(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def signature_in(folder: Path, path: Path) -> Signature | None:
    """Return the signature of a regular file by its path in a folder; None behind a link to a folder too."""
    if any((folder / parent).is_symlink() for parent in path.parents[:-1]):
        return None
    return signature_of(folder / path)


def read_signature(text: str) -> Signature:
    """Return the signature that was written as text."""
    return Signature(*map(int, text.split("-")))


def sha256_of(path: Path, most: float) -> str | None:
    """Return the SHA-256 of a file's content, in hexadecimal. Raises OSError.

    None for a file of more than `most` bytes: reading all of it could take hours.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            return None
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
            if file.tell() > most:  # it grows meanwhile
                return None
    return digest.hexdigest()
