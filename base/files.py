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
"""Error numbers of file systems that cannot sync a folder."""

DRAFT = "gpen-edge-"
"""Prefix of the temporary files of `write_atomically`, after a dot."""


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` if the block succeeds and is deleted if it fails.

    Until then it is a temporary file in the same folder, readable only by its owner, and an existing file
    at `path` is unchanged. If `path` is a symbolic link, its target is replaced. Raises PhotoError if the
    system refuses (no folder, no permission, disk full).
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
    """Write a value that msgspec can encode as indented JSON, whole or not at all. Raises PhotoError."""
    with write_atomically(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return a value that msgspec can encode as indented JSON with a final newline."""
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
            if file.tell() > most:  # it has grown in the meantime
                return None
    return digest.hexdigest()


def draft_beside(path: Path, prefix: str) -> Path:
    """Return an unused hidden name in the folder of `path`, for the file that will become `path`."""
    return path.with_name(f".{prefix}{secrets.token_hex(8)}.tmp")


@contextmanager
def write_new(path: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that is deleted unless the block succeeds; until then only its owner may read it.

    synced  flush it to the disk at the end of the block

    Raises OSError, including FileExistsError.
    """
    usual_mode = _usual_mode(path)
    with open(path, "xb", opener=for_its_owner) as file, vanishing(path):
        yield file
        file.flush()
        if synced:
            os.fsync(file.fileno())
        os.chmod(file.fileno() if os.chmod in os.supports_fd else path, usual_mode)  # noqa: PTH101


def _usual_mode(path: Path) -> int:
    """Return the mode that a new file in the folder gets, by creating an empty one and removing it."""
    with path.open("xb") as file, vanishing(path):
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    path.unlink()
    return mode


def for_its_owner(path: str, flags: int) -> int:
    """Opener for `open`: a newly created file is readable only by its owner."""
    return os.open(path, flags, 0o600)


@contextmanager
def vanishing(draft: Path) -> Iterator[None]:
    """Remove a temporary file if the block raises."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def sweep(folders: Iterable[Path]) -> int:
    """Remove temporary files left by killed runs of `write_atomically`; return how many.

    Files that a running program is still writing are locked, and are kept.
    """
    drafts = [path for folder in folders for path in folder.glob(f".{DRAFT}*.tmp")]
    return sum(map(_removed, drafts))


def _removed(draft: Path) -> bool:
    """Remove a temporary file unless another process has locked it; return whether it was removed."""
    try:
        with draft.open("r+b") as file, _lock(file, needed=True):
            draft.unlink()
    except OSError:
        return False
    return True


@contextmanager
def _lock(file: BinaryIO, *, needed: bool = False) -> Iterator[None]:
    """Lock a file beyond its closing. Raises OSError where a lock is needed and unavailable."""
    if sys.platform == "win32":  # open files cannot be removed there
        yield
        return
    descriptor = os.dup(file.fileno())
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # some file systems do not support locks
            if needed:
                raise
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a power cut cannot undo a rename.

    File systems without this operation are trusted to do it themselves. Raises OSError.
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
