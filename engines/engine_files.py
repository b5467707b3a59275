"""The files of an engine: `.engine`, its record `.json`, and `.kernels`, compiled by TensorRT-RTX on the GPU.

The record is written last and removed first: an engine file without a record is incomplete and is deleted.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from base.errors import EngineError
from engines.record import EngineRecord, decode_record

ENGINE, RECORD, KERNELS = ".engine", ".json", ".kernels"
DRAFT = ".draft"
"""Suffix of a file that is still being written."""


def read_record(path: Path) -> EngineRecord | None:
    """Return the record beside an engine, or None if there is no readable one."""
    try:
        return decode_record(path.with_suffix(RECORD).read_bytes())
    except OSError:
        return None


def size_of(path: Path) -> int:
    """Return the total size in bytes of an engine's files."""
    return sum(file.stat().st_size for file in files_of(path) if file.exists())


def files_of(path: Path) -> tuple[Path, ...]:
    """Return all files of an engine, the record first: an engine without it is ignored."""
    return tuple(path.with_suffix(suffix) for suffix in (RECORD, ENGINE, KERNELS))


def remove(path: Path) -> None:
    """Delete the files of an engine; any of them may be missing."""
    for file in files_of(path):
        file.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: complete or not at all."""
    draft = path.with_name(f"{secrets.token_hex(8)}{DRAFT}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def explaining_failure(what: str, hint: str = "") -> Iterator[None]:
    """Raise EngineError with what failed and what to do when the system refuses an operation."""
    try:
        yield
    except OSError as error:
        raise EngineError(f"{what}: {error.strerror or error}{hint}") from error
