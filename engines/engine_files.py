"""The files of an engine: `.engine`, the record `.json` that vouches for it, and `.kernels`.

The last is what TensorRT-RTX has compiled for the engine on the GPU. The record is written last and removed
first: an engine without one is rubbish, whatever was killed when.
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
"""Suffix of what is being written."""


def read_record(path: Path) -> EngineRecord | None:
    """Return the record beside an engine, or None when there is none that can be read."""
    try:
        return decode_record(path.with_suffix(RECORD).read_bytes())
    except OSError:
        return None


def size_of(path: Path) -> int:
    """Return the bytes that an engine takes with all its files."""
    return sum(file.stat().st_size for file in files_of(path) if file.exists())


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of an engine; the record first, because without it the others are rubbish."""
    return tuple(path.with_suffix(suffix) for suffix in (RECORD, ENGINE, KERNELS))


def remove(path: Path) -> None:
    """Remove an engine, as far as it is there."""
    for file in files_of(path):
        file.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
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
def told(what: str, hint: str = "") -> Iterator[None]:
    """Say what could not be done, and what to do, when the system refuses. Raises EngineError."""
    try:
        yield
    except OSError as error:
        raise EngineError(f"{what}: {error.strerror or error}{hint}") from error
