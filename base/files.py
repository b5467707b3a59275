"""Files that appear whole or not at all."""

import errno
import hashlib
import math
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from base.errors import PhotoError
from base.text import cause_of, one_line

if sys.platform != "win32":
    import fcntl

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
"""What file systems say that cannot sync a folder."""

DRAFT = "gpen-edge-"
"""What the temporary files of `write_atomically` begin with, after a dot."""


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes when it does not.

    Until then it is a temporary file in the same folder that nobody else may read, and an older file at
    `path` stays as it was. A symbolic link is followed: it is its target that is replaced. Raises
    PhotoError when the system refuses (no folder, no permission, disk full).
    """
    target = Path(os.path.realpath(path))
    draft = draft_beside(target, DRAFT)
    try:
        with ExitStack() as locked:
            with write_new(draft) as file:
                locked.enter_context(_lock(file))
                yield file
            draft.replace(target)
    except OSError as error:
        raise PhotoError(f"cannot write {one_line(path)}: {cause_of(error)}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write what msgspec can encode as indented JSON, whole or not at all. Raises PhotoError."""
    with write_atomically(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return what msgspec can encode as indented JSON that ends with a line end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises OSError."""
    return sha256_within(path, math.inf) or ""


def sha256_within(path: Path, most: float) -> str | None:
    """Return the SHA-256 of a file, in hexadecimal; None if it has more than `most` bytes. Raises OSError."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            return None
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
            if file.tell() > most:  # it has grown meanwhile
                return None
    return digest.hexdigest()


def draft_beside(path: Path, prefix: str = "") -> Path:
    """Return a name in the folder of `path` for what shall become `path`: hidden, and nobody's so far."""
    return path.with_name(f".{prefix}{secrets.token_hex(8)}.tmp")


@contextmanager
def write_new(path: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that vanishes unless the block ends well; nobody else may read it before.

    synced  it is on the disk then

    Raises OSError, FileExistsError among them.
    """
    usual_mode = _usual_mode(path)
    with open(path, "xb", opener=for_its_owner) as file, vanishing(path):
        yield file
        file.flush()
        if synced:
            os.fsync(file.fileno())
        os.chmod(file.fileno() if os.chmod in os.supports_fd else path, usual_mode)  # noqa: PTH101


def _usual_mode(path: Path) -> int:
    """Return the mode that umask and folder give a new file: that of an empty one, which is removed."""
    with path.open("xb") as file, vanishing(path):
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    path.unlink()
    return mode


def for_its_owner(path: str, flags: int) -> int:
    """Open a file that nobody else may read, if it is new: an opener of `open`."""
    return os.open(path, flags, 0o600)


@contextmanager
def vanishing(draft: Path) -> Iterator[None]:
    """Remove a temporary file when the block raises."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def sweep(folders: Iterable[Path]) -> int:
    """Remove the temporary files that killed runs of `write_atomically` have left; return how many.

    Those that a program still writes are locked by it, and stay.
    """
    drafts = [path for folder in folders for path in folder.glob(f".{DRAFT}*.tmp")]
    return sum(map(_removed, drafts))


def _removed(draft: Path) -> bool:
    """Remove a temporary file unless somebody has locked it; return whether it was removed."""
    try:
        with draft.open("r+b") as file, _lock(file, needed=True):
            draft.unlink()
    except OSError:
        return False
    return True


@contextmanager
def _lock(file: BinaryIO, *, needed: bool = False) -> Iterator[None]:
    """Keep a file locked, even after it was closed; OSError where that is needed and cannot be."""
    if sys.platform == "win32":  # what is open cannot be removed there
        yield
        return
    descriptor = os.dup(file.fileno())
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # some file systems know no locks
            if needed:
                raise
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, so that a power cut does not take back a rename.

    File systems that cannot do that are trusted. Raises OSError.
    """
    if os.name == "nt":  # folders cannot be opened there
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
