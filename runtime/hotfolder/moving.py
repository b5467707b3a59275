"""Bring a file to a name that nobody has: by renaming, moving to another disk, or copying."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

from base.files import draft_beside, sync_folder, vanishing, write_new
from runtime.hotfolder.names import DRAFT
from runtime.hotfolder.signature import signature_of

_HERE = -100  # AT_FDCWD
_NOREPLACE = 1
_NOT_KNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


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


def move_new(source: Path, target: Path) -> None:
    """Rename a file, or copy and remove it where its new name is on another disk. Raises as `rename_new`.

    What has replaced it while it was copied stays.
    """
    before = signature_of(source)
    try:
        rename_new(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_new(source, target)  # another disk
        if signature_of(source) == before:
            source.unlink(missing_ok=True)


def copy_new(source: Path, target: Path) -> None:
    """Copy a file to a name that nobody has; it appears whole. Raises FileExistsError and other OSErrors."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    draft = draft_beside(target, DRAFT)
    status = source.stat()
    with source.open("rb") as original, write_new(draft) as copy:
        while block := original.read(1 << 20):
            copy.write(block)
    with vanishing(draft):
        os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
        rename_new(draft, target)
    sync_folder(target.parent)


def _renameat2() -> Callable[..., int] | None:
    if os.name == "nt":
        return None
    try:
        function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return None
    return function
