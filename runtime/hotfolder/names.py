"""Names that are nobody's yet: nothing that is there is ever overwritten."""

import errno
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from base.files import sync_folder

DRAFT = "watch-"
"""What the watcher's temporary files begin with, after a dot."""

_LONGEST = 255 - len("-99999.json")
"""Bytes that a file's name may have, less what is put to it."""

_DEEPEST = 4096 - 257
"""Bytes that a folder's path may have, for files in it to have any name."""

_REFUSED = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[A-Za-z0-9_-]{1,20})?")


def is_refused(error: OSError, name: str) -> bool:
    """Return whether it may be for the name that a file system refuses a file, and a plain one would do."""
    return error.errno in _REFUSED and not _PLAIN.fullmatch(name)


def plain(name: str) -> str:
    """Return a name like the given one that any file system takes, also with a number put to it."""
    path = Path(name)
    stem, suffix = (re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in (path.stem, path.suffix[1:]))
    return f"{stem[:60]}.{suffix[:20]}" if suffix else stem[:60]


def numbered(path: Path, number: int) -> Path:
    """Return photo.jpg for 1, photo-2.jpg for 2, and so on; a name that is too long for that is cut."""
    stem, suffix = path.stem, path.suffix
    if len(os.fsencode(suffix)) > _LONGEST // 2:
        stem, suffix = path.name, ""
    while len(os.fsencode(stem + suffix)) > _LONGEST:
        stem = stem[:-1]
    return path.with_name(f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")


def first_free(is_free: Callable[[int], bool], after: int = 0) -> int:
    """Return the least number above `after` that is free."""
    number = after + 1
    while not is_free(number):
        number += 1
    return number


def make_folder(root: Path, inside: Path) -> Path:
    """Make folders in `root`, so that a power cut does not take them back; return their path in it.

    Where a file has the name of one, that one is numbered; a name that is refused becomes a plain one.
    Folders that would be too deep for files in them are left out. Raises OSError, also when the root is gone.
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
