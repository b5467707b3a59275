"""Names that are nobody's yet: nothing that is there is ever overwritten."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from runtime.atomic import sync_folder

DRAFT = "watch-"
"""What the watcher's temporary files begin with, after a dot."""

_LONGEST = 255 - len("-99999.json")
"""Bytes that a file's name may have, less what is put to it."""


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

    Where a file has the name of one, that one is numbered. Raises OSError, also when the root is gone.
    """
    made = Path()
    for name in (root / inside).relative_to(root).parts:
        made = numbered(made / name, first_free(partial(_may_be_folder, root / made / name)))
        if not (root / made).is_dir():
            (root / made).mkdir()
            sync_folder((root / made).parent)
    return made


def _may_be_folder(path: Path, number: int) -> bool:
    path = numbered(path, number)
    return path.is_dir() or not os.path.lexists(path)
