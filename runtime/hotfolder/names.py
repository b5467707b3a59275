"""Names that are nobody's yet: nothing that is there is ever overwritten."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

_LONGEST = 255 - len("-99999.json")
"""Bytes that a file's name may have, less what is put to it."""
_HERE = -100  # AT_FDCWD
_NOREPLACE = 1
_NOT_KNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


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


def rename_new(source: Path, target: Path) -> None:
    """Rename a file in one step that fails if `target` is there. Raises FileExistsError and other OSErrors.

    Where the system has no such step, it is looked for before.
    """
    if (rename := _renameat2()) is not None:
        if rename(_HERE, os.fsencode(source), _HERE, os.fsencode(target), _NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NOT_KNOWN:
            raise OSError(number, os.strerror(number), str(source), None, str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _renameat2() -> Callable[..., int] | None:
    if os.name == "nt":
        return None
    try:
        function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return None
    return function
