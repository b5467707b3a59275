"""The journal: the state of each photo, on the disk before anything is done that depends on it."""

import os
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from base.errors import WatchError
from base.text import cause_of, one_line
from runtime.commands.failure_cause import Cause
from runtime.hotfolder.signature import Signature, read_signature

State = Literal["started", "delivering", "delivered", "done", "failing", "failed"]
OPEN: tuple[State, ...] = ("started", "delivering", "delivered", "failing")

HISTORY = 100_000
"""The number of finished photos that are remembered, for people to look up; nothing depends on them."""

_SCHEMA = """
CREATE TABLE photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    signature TEXT NOT NULL,
    state TEXT NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 1,
    draft BLOB,
    output BLOB,
    kept BLOB,
    stays INTEGER NOT NULL DEFAULT 0,
    cause TEXT,
    reason TEXT,
    time TEXT NOT NULL
);
CREATE INDEX photos_by_path ON photos (path) WHERE stays OR state NOT IN ('done', 'failed');
PRAGMA user_version = 1;
"""
_VERSION = 1
_CONCERNS = "(stays OR state NOT IN ('done', 'failed'))"
_PATHS = ("path", "draft", "output", "kept")


@dataclass(frozen=True)
class Entry:
    """A photo. Its `path` is in the input folder, all other paths are in the output folder."""

    id: int
    path: Path
    sha256: str
    """Of its content; empty if it could not be read or is too large for a photo."""
    signature: Signature
    state: State
    crashes: int = 0
    """How many times the program has begun to restore it without coming to an end."""
    number: int = 1
    """Added to the names of its files if it is above 1, because the plain names are taken."""
    draft: Path | None = None
    """The whole result, a temporary file. Once it no longer exists, it has become `output`."""
    output: Path | None = None
    kept: Path | None = None
    """Where the original is put, or was."""
    stays: bool = False
    """The original was left in the input folder, and is known there by its content."""
    cause: Cause | None = None
    reason: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether only its original remains to be put away."""
        return self.state in ("delivered", "failing")


class Journal:
    """An SQLite file. Each change is on the disk when its call returns."""

    def __init__(self, file: Path) -> None:
        """Open or create it. Raises WatchError if it is damaged, of another version, or cannot be written."""
        self.file = file
        try:
            self._database = sqlite3.connect(file, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._database.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
                version = _VERSION
        except sqlite3.Error as error:
            raise WatchError(
                f"the journal {one_line(file)} cannot be used: {cause_of(error)}; fix that, or move it away "
                "to start over (photos that were left in the input folder are then restored again)"
            ) from error
        if version != _VERSION:
            raise WatchError(f"the journal {one_line(file)} is of another version, {version}: move it away")

    def begin(self, path: Path, sha256: str, signature: Signature) -> Entry:
        """Add a photo that is started."""
        changes = {"path": path, "sha256": sha256, "signature": signature, "state": "started"}
        columns = _columns(changes)
        self._database.execute(
            f"INSERT INTO photos ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            list(columns.values()),
        )
        (number,) = self._database.execute("SELECT last_insert_rowid()").fetchone()
        return Entry(number, path, sha256, signature, "started")

    def update(self, entry: Entry, **changes: Any) -> Entry:
        """Change an entry; return it as it is now."""
        columns = _columns(changes)
        self._database.execute(
            f"UPDATE photos SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?",
            [*columns.values(), entry.id],
        )
        return replace(entry, **changes)

    def forget(self, entry: Entry) -> None:
        """Remove the entry of a photo that has left nothing on the disk."""
        self._database.execute("DELETE FROM photos WHERE id = ?", [entry.id])

    def open_entries(self) -> list[Entry]:
        """Return the photos that are neither done nor failed, in the order in which they started."""
        return self._select(f"state IN ({', '.join('?' * len(OPEN))})", OPEN)

    def concerning(self, path: Path) -> list[Entry]:
        """Return the entries about the file at `path`: open ones, and those of originals left there."""
        return self._select(f"path = ? AND {_CONCERNS}", [os.fsencode(path)])

    def finished(self) -> list[Entry]:
        """Return the photos that are done or failed."""
        return self._select("state IN ('done', 'failed')", [])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _select(self, condition: str, values: Iterable[Any]) -> list[Entry]:
        rows = self._database.execute(f"SELECT * FROM photos WHERE {condition} ORDER BY id", list(values))
        return [_entry(row) for row in rows]

    def prune(self, is_gone: Callable[[Path], bool]) -> None:
        """Remove old history; entries of originals that were left in place stay until those are gone or
        replaced.

        is_gone  whether nothing exists at a path in the input folder any more
        """
        (last,) = self._database.execute("SELECT max(id) FROM photos").fetchone()
        old = (last or 0) - HISTORY
        self._database.execute(
            "UPDATE photos AS old SET stays = 0 WHERE id <= ? AND stays AND state IN ('done', 'failed') "
            "AND EXISTS (SELECT 1 FROM photos WHERE path = old.path AND stays AND id > old.id)",
            [old],
        )
        left = self._database.execute("SELECT id, path FROM photos WHERE id <= ? AND stays", [old]).fetchall()
        gone = [(number,) for number, path in left if is_gone(Path(os.fsdecode(path)))]
        self._database.executemany("UPDATE photos SET stays = 0 WHERE id = ?", gone)
        self._database.execute(f"DELETE FROM photos WHERE NOT {_CONCERNS} AND id <= ?", [old])


def _columns(changes: dict[str, Any]) -> dict[str, Any]:
    columns = {name: _stored(value) for name, value in changes.items()}
    return columns | {"time": datetime.now(timezone.utc).isoformat(timespec="seconds")}


def _stored(value: Any) -> Any:
    if isinstance(value, Path):
        return os.fsencode(value)  # names need not be UTF-8
    if isinstance(value, Signature):
        return str(value)
    return value


def _entry(row: sqlite3.Row) -> Entry:
    values = {name: row[name] for name in row.keys() if name != "time"}  # noqa: SIM118
    for name in _PATHS:
        if values[name] is not None:
            values[name] = Path(os.fsdecode(values[name]))
    values["signature"] = read_signature(values["signature"])
    values["stays"] = bool(values["stays"])
    return Entry(**values)
