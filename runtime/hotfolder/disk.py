"""Give files free names: by renaming, by moving to another disk, or by copying."""

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
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)

RenameAt2 = Callable[..., int]


def _system_renameat2() -> RenameAt2 | None:
    """Return the system call that can rename without replacing; None where there is none."""
    if os.name == "nt":
        return None
    try:
        function: RenameAt2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return None
    return function


_RENAMEAT2 = _system_renameat2()


class Disk:
    """Renames, moves and copies files, and never replaces one."""

    def __init__(self, renameat2: RenameAt2 | None = _RENAMEAT2) -> None:
        """Take the system call that can rename without replacing; None where there is none."""
        self._renameat2 = renameat2

    def rename_new(self, source: Path, target: Path) -> None:
        """Rename a file in one step that fails if `target` exists.

        Without such a system call, `target` is looked for first. Raises FileExistsError and other OSErrors.
        """
        if self._renameat2 is not None:
            if self._renameat2(_HERE, os.fsencode(source), _HERE, os.fsencode(target), _NOREPLACE) == 0:
                return
            number = ctypes.get_errno()
            if number not in _NOT_SUPPORTED:
                raise OSError(number, os.strerror(number), str(source), None, str(target))
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)

    def move_new(self, source: Path, target: Path) -> None:
        """Rename a file, or copy it to another disk and remove it. Raises as `rename_new`.

        A file that has replaced it in the meantime stays.
        """
        before = signature_of(source)
        try:
            self.rename_new(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.copy_new(source, target)
            if signature_of(source) == before:
                source.unlink(missing_ok=True)

    def copy_new(self, source: Path, target: Path) -> None:
        """Copy a file, and its time if that is allowed; the copy appears whole. Raises as `rename_new`."""
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        draft = draft_beside(target, DRAFT)
        status = source.stat()
        with source.open("rb") as original, write_new(draft) as copy:
            while block := original.read(1 << 20):
                copy.write(block)
        with vanishing(draft):
            try:
                os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
            except OSError as error:  # some network drives refuse
                if error.errno not in (*_NOT_SUPPORTED, errno.EPERM, errno.EACCES):
                    raise
            self.rename_new(draft, target)
        sync_folder(target.parent)
