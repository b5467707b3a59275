"""The folder of built engines (design §5). Damaged or incomplete engines are rebuilt, the oldest deleted.

The modification time of a record is when its engine was last used.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import filelock
import platformdirs

from base.errors import EngineError
from base.files import sha256
from engines.engine_files import (
    DRAFT,
    ENGINE,
    KERNELS,
    RECORD,
    explaining_failure,
    read_record,
    remove,
    size_of,
    write_whole,
)
from engines.gpu import Gpu
from engines.record import EngineKey, EngineRecord, encode_record
from engines.targets import covers

FOLDER_VARIABLE = "GPEN_EDGE_CACHE"
LIMIT_VARIABLE = "GPEN_EDGE_CACHE_MIB"
DEFAULT_LIMIT_MIB = 4096

Notice = Callable[[str], None]


@dataclass(frozen=True)
class CachedEngine:
    """An engine whose bytes match its record."""

    path: Path
    record: EngineRecord
    plan: bytes

    @property
    def kernels(self) -> Path:
        """File with the kernels that TensorRT-RTX has compiled for this engine (its runtime cache)."""
        return self.path.with_suffix(KERNELS)


@dataclass(frozen=True)
class Entry:
    """A cached engine whose bytes have not been checked."""

    path: Path
    record: EngineRecord
    used: float
    """When it was last used, in seconds since 1970."""
    size: int
    """Of all its files, bytes."""


class EngineCache:
    """A folder of cached engines."""

    def __init__(self, folder: Path | None = None, *, limit_mib: int | None = None) -> None:
        """Set the folder and its size limit.

        folder      default: `$GPEN_EDGE_CACHE`, otherwise the user's cache folder; created on the first write
        limit_mib   default: `$GPEN_EDGE_CACHE_MIB`, otherwise 4096
        """
        named = os.environ.get(FOLDER_VARIABLE)
        default = Path(named) if named else platformdirs.user_cache_path("gpen-edge") / "engines"
        self.folder = folder if folder is not None else default
        self.limit = (_limit_of_environment() if limit_mib is None else limit_mib) << 20

    def find(self, key: EngineKey) -> CachedEngine | None:
        """Return the engine with that key, or None if it is missing, damaged or foreign."""
        path = self.folder / (key.stem + ENGINE)
        record = read_record(path)
        if record is None or record.key != key:
            return None
        return _checked(path, record)

    def read(self, path: Path) -> CachedEngine:
        """Read an engine file, from this folder or another.

        Raises EngineError if it does not exist or does not match its record.
        """
        if not path.is_file():
            raise EngineError(f"no engine {path}: `python -m engines list` shows the cached ones")
        record = read_record(path)
        if record is None:
            raise EngineError(
                f"engine {path} has no record {path.with_suffix(RECORD).name} that can be read beside it"
            )
        engine = _checked(path, record, used=False)
        if engine is None:
            raise EngineError(f"engine {path} does not match its record: truncated or changed")
        return engine

    def find_for(self, key: EngineKey, gpu: Gpu) -> CachedEngine | None:
        """Return an engine that differs from the key only in max batch or in a target that covers the GPU.

        Engines for named GPUs come before portable ones, then those built or used most recently.
        """
        fitting = [
            entry
            for entry in self.entries()
            if _likeness(entry.record.key) == _likeness(key) and covers(entry.record.key.target, gpu)
        ]
        for entry in sorted(fitting, key=lambda entry: entry.record.key.target.endswith("+")):
            if (engine := _checked(entry.path, entry.record)) is not None:
                return engine
        return None

    def get(
        self,
        key: EngineKey,
        build: Callable[[Path], EngineRecord],
        *,
        rebuild: bool = False,
        notice: Notice = lambda sentence: None,
    ) -> CachedEngine:
        """Return the engine with that key, building it if it is missing or damaged.

        build    writes an engine to the given file and returns its record; hash and size are filled in here
        rebuild  build even if the engine is cached
        notice   called with a message when another process is building, or when a damaged engine is found

        If two processes need engines at the same time, they build them one after the other, each engine once.
        Raises EngineError if the folder cannot be written.
        """
        if not rebuild and (engine := self.find(key)) is not None:
            return engine
        path = self.folder / (key.stem + ENGINE)
        with self._writing(notice):
            if not rebuild and (engine := self.find(key)) is not None:
                return engine
            if not rebuild and path.exists() and path.with_suffix(RECORD).exists():
                notice(f"the engine {path.name} is damaged or foreign: rebuilding it")
            self._sweep()
            self._add(path, build)
        built = self.find(key)
        if built is None:
            raise EngineError(f"the engine {path} changed while it was being written: check the disk")
        return built

    def entries(self) -> list[Entry]:
        """Return the engines that have a record, most recently used first."""
        found = []
        with explaining_failure(f"cannot read the engine cache {self.folder}"):
            paths = sorted(self.folder.glob(f"*{ENGINE}")) if self.folder.exists() else []
        for path in paths:
            record = read_record(path)
            with suppress(OSError):  # it is being deleted
                if record is not None:
                    used = path.with_suffix(RECORD).stat().st_mtime
                    found.append(Entry(path, record, used, size_of(path)))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def delete(self, entries: Iterable[Entry]) -> None:
        """Remove engines with all their files; one that is gone already is no error."""
        with self._writing():
            for entry in entries:
                remove(entry.path)

    def copy_out(self, engine: CachedEngine, folder: Path) -> Path:
        """Copy an engine and its record into a folder, to be moved to another machine; return the copy."""
        with explaining_failure(f"cannot write engines to {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            copy = folder / engine.path.name
            write_whole(copy, engine.plan)
            write_whole(copy.with_suffix(RECORD), encode_record(engine.record))
        return copy

    def take_in(self, folder: Path) -> list[EngineRecord]:
        """Copy a folder's engines into this cache; return their records.

        Raises EngineError, and copies nothing, if one is damaged or there is none.
        """
        if not folder.is_dir():
            raise EngineError(f"no folder {folder}: give one made by `python -m engines build --output`")
        paths = sorted(folder.glob(f"*{ENGINE}"))
        if not paths:
            raise EngineError(
                f"no engines in {folder}: give a folder made by `python -m engines build --output`"
            )
        for path in paths:
            _arrived(path)
        with self._writing():
            self._sweep()
            return [self._add(self.folder / path.name, partial(_copy, path)) for path in paths]

    def timing_file(self, name: str) -> Path:
        """Return the file of TensorRT's timing measurements for a GPU."""
        return self.folder / f"{name}.timing"

    def _add(self, path: Path, write: Callable[[Path], EngineRecord]) -> EngineRecord:
        """Write an engine and its record; return the record. Call it with the write lock held.

        write  writes the engine to the given file and returns its record; hash and size are filled in here
        """
        draft = self.folder / f"{secrets.token_hex(8)}{DRAFT}"
        try:
            record = replace(write(draft), sha256=sha256(draft), size=draft.stat().st_size)
            path.with_suffix(RECORD).unlink(missing_ok=True)
            path.with_suffix(KERNELS).unlink(missing_ok=True)
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        write_whole(path.with_suffix(RECORD), encode_record(record))
        self._shrink(keep=path)
        return record

    @contextmanager
    def _writing(self, notice: Notice = lambda sentence: None) -> Iterator[None]:
        """Hold the cache's write lock; the system releases it if the process dies."""
        with explaining_failure(
            f"cannot write the engine cache {self.folder}", f": set ${FOLDER_VARIABLE} to another folder"
        ):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = filelock.FileLock(self.folder / ".lock", mode=0o600)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                notice("another process is building engines: waiting for it to finish")
                lock.acquire(poll_interval=0.1)
            except NotImplementedError as error:
                raise EngineError(
                    f"the engine cache {self.folder} is on a file system without locks: "
                    f"set ${FOLDER_VARIABLE} to another folder"
                ) from error
            try:
                yield
            finally:
                lock.release()

    def _sweep(self) -> None:
        """Remove the leftovers of killed builds, and kernels whose engine no longer exists.

        Called with the write lock held, so no other process has drafts.
        """
        for draft in self.folder.glob(f"*{DRAFT}*"):
            draft.unlink(missing_ok=True)
        for suffix in (ENGINE, KERNELS):
            for path in self.folder.glob(f"*{suffix}"):
                if not path.with_suffix(RECORD).exists():
                    remove(path)

    def _shrink(self, keep: Path) -> None:
        """Delete the least recently used engines until the cache is within its limit."""
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        for entry in reversed(entries):
            if total <= self.limit:
                break
            if entry.path != keep:
                remove(entry.path)
                total -= entry.size


def _limit_of_environment() -> int:
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return DEFAULT_LIMIT_MIB
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise EngineError(f"${LIMIT_VARIABLE} is {text!r}: give a whole number of MiB, at least 1")
    return int(text)


def _likeness(key: EngineKey) -> EngineKey:
    return replace(key, target="", max_batch=0)


def _checked(path: Path, record: EngineRecord, *, used: bool = True) -> CachedEngine | None:
    try:
        plan = path.read_bytes()
    except OSError:
        return None
    if len(plan) != record.size or hashlib.sha256(plan).hexdigest() != record.sha256:
        return None
    if used:
        with suppress(OSError):  # the folder may be read-only
            os.utime(path.with_suffix(RECORD))
    return CachedEngine(path, record, plan)


def _arrived(path: Path) -> CachedEngine:
    """Return an engine of another folder. Raises EngineError if it or its record is damaged."""
    record = read_record(path)
    engine = _checked(path, record, used=False) if record is not None else None
    if engine is None or path.stem != engine.record.key.stem:
        raise EngineError(f"engine {path} or its record is damaged: copy it again")
    return engine


def _copy(path: Path, draft: Path) -> EngineRecord:
    engine = _arrived(path)
    draft.write_bytes(engine.plan)
    return engine.record
