"""Free names for files: no existing file is ever overwritten."""

import errno
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from base.files import sync_folder

DRAFT = "watch-"
"""Prefix of the watcher's temporary files, after a dot."""

_LONGEST = 255 - len("-99999.json")
"""Most bytes in the name of a file before a number and a suffix are added to it."""

_DEEPEST = 4096 - 257
"""Most bytes in the path of a folder if files in it may have any name."""

_REFUSED = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[A-Za-z0-9_-]{1,20})?")


def is_refused(error: OSError, name: str) -> bool:
    """Return whether a file system may have refused a file because of its name, so that a plain one may
    succeed."""
    return error.errno in _REFUSED and not _PLAIN.fullmatch(name)


def plain(name: str) -> str:
    """Return a similar name that every file system accepts, even with a number added to it."""
    path = Path(name)
    stem, suffix = (re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in (path.stem, path.suffix[1:]))
    return f"{stem[:60]}.{suffix[:20]}" if suffix else stem[:60]


def numbered(path: Path, number: int) -> Path:
    """Return photo.jpg for 1, photo-2.jpg for 2, and so on; a name that is too long is shortened."""
    stem, suffix = path.stem, path.suffix
    if len(os.fsencode(suffix)) > _LONGEST // 2:
        stem, suffix = path.name, ""
    while len(os.fsencode(stem + suffix)) > _LONGEST:
        stem = stem[:-1]
    return path.with_name(f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")


def first_free(is_free: Callable[[int], bool], after: int = 0) -> int:
    """Return the smallest free number above `after`."""
    number = after + 1
    while not is_free(number):
        number += 1
    return number


def make_folder(root: Path, inside: Path) -> Path:
    """Make folders in `root` that survive a power cut; return their path in it.

    If a file has the name of a folder, the folder is numbered; a name that is refused becomes a plain one.
    Folders that would be too deep for files in them are left out. Raises OSError, also if `root` is gone.
    """
    made = Path()
    for name in (root / inside).relative_to(root).parts:
        if len(os.fsencode(root / made / name)) > _DEEPEST:
            break
        try:
            made = _make_one(root, made / name)
        except OSError as error:
            if not is_refused(error, name):
                raise
            made = _make_one(root, made / plain(name))
    return made


def _make_one(root: Path, wanted: Path) -> Path:
    made = numbered(wanted, first_free(partial(_may_be_folder, root / wanted)))
    if not (root / made).is_dir():
        (root / made).mkdir()
        sync_folder((root / made).parent)
    return made


def _may_be_folder(path: Path, number: int) -> bool:
    path = numbered(path, number)
    return path.is_dir() or not os.path.lexists(path)
