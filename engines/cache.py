"""The folder of built engines (design §5): what is in it is whole, checked and recent, or it is built again.

A record's modification time is when its engine was last used.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import filelock
import platformdirs

from base.errors import EngineError
from engines.engine_files import (
    DRAFT,
    ENGINE,
    KERNELS,
    RECORD,
    read_record,
    remove,
    size_of,
    told,
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
    """An engine whose bytes are those that its record vouches for."""

    path: Path
    record: EngineRecord
    plan: bytes

    @property
    def kernels(self) -> Path:
        """Where TensorRT-RTX's compiled kernels for this engine are kept (its runtime cache)."""
        return self.path.with_suffix(KERNELS)


@dataclass(frozen=True)
class Entry:
    """An engine in the cache, not checked."""

    path: Path
    record: EngineRecord
    used: float
    """When it was last used, seconds since 1970."""
    size: int
    """Of all its files, bytes."""


class EngineCache:
    """The engines of one folder."""

    def __init__(self, folder: Path | None = None, *, limit_mib: int | None = None) -> None:
        """Name the folder and how much may be in it.

        folder      without one, `$GPEN_EDGE_CACHE`, else the user's cache folder; made when first written to
        limit_mib   without one, `$GPEN_EDGE_CACHE_MIB`, else 4096
        """
        named = os.environ.get(FOLDER_VARIABLE)
        default = Path(named) if named else platformdirs.user_cache_path("gpen-edge") / "engines"
        self.folder = folder if folder is not None else default
        self.limit = (_limit_of_environment() if limit_mib is None else limit_mib) << 20

    def find(self, key: EngineKey) -> CachedEngine | None:
        """Return the engine of that key, or None when there is none or it is damaged or foreign."""
        path = self.folder / (key.stem + ENGINE)
        record = read_record(path)
        if record is None or record.key != key:
            return None
        return self._checked(path, record)

    def read(self, path: Path) -> CachedEngine:
        """Return the engine of a file, of this folder or another.

        Raises EngineError when there is none, or it is not what its record says.
        """
        if not path.is_file():
            raise EngineError(f"no engine {path}: python -m engines list names those of the cache")
        record = read_record(path)
        if record is None:
            raise EngineError(
                f"engine {path} has no record {path.with_suffix(RECORD).name} that can be read beside it"
            )
        engine = self._checked(path, record, used=False)
        if engine is None:
            raise EngineError(
                f"engine {path} is not the file that its record vouches for: truncated or changed"
            )
        return engine

    def find_for(self, key: EngineKey, gpu: Gpu) -> CachedEngine | None:
        """Return an engine like that of the key, of any max batch and any target that covers the GPU.

        One for named GPUs goes before a portable one, then the one that was built or used last before others.
        """
        fitting = [
            entry
            for entry in self.entries()
            if _likeness(entry.record.key) == _likeness(key) and covers(entry.record.key.target, gpu)
        ]
        for entry in sorted(fitting, key=lambda entry: entry.record.key.target.endswith("+")):
            if (engine := self._checked(entry.path, entry.record)) is not None:
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
        """Return the engine of that key, built when it is not there or cannot be trusted.

        build    writes an engine to the file it is given and returns what is to be recorded; hash and size
                 are filled in here
        rebuild  build even when it is there
        notice   told when another process is building, or when a damaged engine is found

        Two processes that want engines at once build them one after the other, each engine once.
        Raises EngineError when the folder cannot be written.
        """
        if not rebuild and (engine := self.find(key)) is not None:
            return engine
        path = self.folder / (key.stem + ENGINE)
        with self._writing(notice):
            if not rebuild and (engine := self.find(key)) is not None:
                return engine
            if not rebuild and path.exists() and path.with_suffix(RECORD).exists():
                notice(f"the engine {path.name} is damaged or foreign: it is built again")
            self._sweep()
            draft = self.folder / f"{secrets.token_hex(8)}{DRAFT}"
            try:
                record = build(draft)
                self._put(path, draft, record)
            finally:
                draft.unlink(missing_ok=True)
            self._shrink(keep=path)
        built = self.find(key)
        if built is None:
            raise EngineError(f"the engine {path} was changed while it was written: is the disk sound?")
        return built

    def entries(self) -> list[Entry]:
        """Return the engines that have a record, last used first."""
        found = []
        with told(f"cannot read the engine cache {self.folder}"):
            paths = sorted(self.folder.glob(f"*{ENGINE}")) if self.folder.exists() else []
        for path in paths:
            record = read_record(path)
            with suppress(OSError):  # it is being removed
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
        """Copy an engine and its record into a folder, to be carried elsewhere; return the copy."""
        with told(f"cannot write engines to {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            copy = folder / engine.path.name
            write_whole(copy, engine.plan)
            write_whole(copy.with_suffix(RECORD), encode_record(engine.record))
        return copy

    def take_in(self, folder: Path) -> list[EngineRecord]:
        """Copy a folder's engines into this cache; return their records.

        Raises EngineError when one is damaged, or there is none: nothing is taken in then.
        """
        if not folder.is_dir():
            raise EngineError(f"no folder {folder}: give one made by python -m engines build --output")
        other = EngineCache(folder, limit_mib=0)
        engines = []
        for path in sorted(folder.glob(f"*{ENGINE}")):
            record = read_record(path)
            engine = other._checked(path, record, used=False) if record is not None else None
            if engine is None or path.stem != engine.record.key.stem:
                raise EngineError(f"engine {path} is damaged, or its record is: copy it again")
            engines.append(engine)
        if not engines:
            raise EngineError(
                f"no engines in {folder}: give a folder made by python -m engines build --output"
            )
        with self._writing():
            self._sweep()
            for engine in engines:
                draft = self.folder / f"{secrets.token_hex(8)}{DRAFT}"
                try:
                    draft.write_bytes(engine.plan)
                    self._put(self.folder / engine.path.name, draft, engine.record)
                finally:
                    draft.unlink(missing_ok=True)
                self._shrink(keep=self.folder / engine.path.name)
        return [engine.record for engine in engines]

    def timing_file(self, name: str) -> Path:
        """Return where what TensorRT has measured on a GPU is kept."""
        return self.folder / f"{name}.timing"

    def _checked(self, path: Path, record: EngineRecord, *, used: bool = True) -> CachedEngine | None:
        try:
            plan = path.read_bytes()
        except OSError:
            return None
        if len(plan) != record.size or hashlib.sha256(plan).hexdigest() != record.sha256:
            return None
        if used:
            with suppress(OSError):  # a folder that may only be read
                os.utime(path.with_suffix(RECORD))
        return CachedEngine(path, record, plan)

    def _put(self, path: Path, draft: Path, record: EngineRecord) -> None:
        """Give a written engine its name, and its record after it."""
        plan = draft.read_bytes()
        complete = replace(record, sha256=hashlib.sha256(plan).hexdigest(), size=len(plan))
        path.with_suffix(RECORD).unlink(missing_ok=True)
        path.with_suffix(KERNELS).unlink(missing_ok=True)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
        write_whole(path.with_suffix(RECORD), encode_record(complete))

    @contextmanager
    def _writing(self, notice: Notice = lambda sentence: None) -> Iterator[None]:
        """Hold the right to write: one process at a time, and it falls with the process."""
        with told(
            f"cannot write the engine cache {self.folder}", f": set ${FOLDER_VARIABLE} to another folder"
        ):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = filelock.FileLock(self.folder / ".lock", mode=0o600)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                notice("another process is building engines: waiting for it")
                lock.acquire(poll_interval=0.1)
            except NotImplementedError as error:
                raise EngineError(
                    f"the engine cache {self.folder} lies on a file system without locks: "
                    f"set ${FOLDER_VARIABLE} to another folder"
                ) from error
            try:
                yield
            finally:
                lock.release()

    def _sweep(self) -> None:
        """Remove what killed builds have left, and kernels that were kept for an engine which is gone.

        Only while writing: no other process has drafts then.
        """
        for draft in self.folder.glob(f"*{DRAFT}*"):
            draft.unlink(missing_ok=True)
        for suffix in (ENGINE, KERNELS):
            for path in self.folder.glob(f"*{suffix}"):
                if not path.with_suffix(RECORD).exists():
                    remove(path)

    def _shrink(self, keep: Path) -> None:
        """Remove the engines that were not used for longest, until the rest is within the limit."""
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
        raise EngineError(f"${LIMIT_VARIABLE} is {text!r}: give a number of MiB, 1 or more")
    return int(text)


def _likeness(key: EngineKey) -> EngineKey:
    return replace(key, target="", max_batch=0)
