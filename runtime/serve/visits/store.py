"""The data that must survive a crash, in SQLite: visits and when they end, results, links to take home.

Tokens are stored as digests only. Deleted rows are overwritten. Its errors are KioskErrors.
"""

import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.text import cause_of
from runtime.serve.clock import End
from runtime.serve.errors import KioskError

_VERSION = 2
_SCHEMA = f"""
DROP TABLE IF EXISTS visits;
DROP TABLE IF EXISTS takes;
CREATE TABLE visits (
    id TEXT PRIMARY KEY,
    touched REAL NOT NULL, ends REAL NOT NULL, boot TEXT NOT NULL, since_boot REAL NOT NULL,
    age REAL NOT NULL DEFAULT 0, number INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    choice TEXT, result TEXT, copies INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE takes (
    id TEXT PRIMARY KEY,
    touched REAL NOT NULL, ends REAL NOT NULL, boot TEXT NOT NULL, since_boot REAL NOT NULL,
    visit TEXT NOT NULL, about TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""


@dataclass(frozen=True)
class VisitRow:
    """A visit as it is stored."""

    id: str
    end: End
    age: float = 0
    """Seconds from its beginning to the last touch."""
    number: int = 0
    """Counts the photos of the visit; 0 before the first."""
    attempts: int = 0
    """How often work on the photo was begun but not finished."""
    choice: str | None = None
    """The settings of the result that was asked for, as JSON."""
    result: str | None = None
    """The finished result, as JSON."""
    copies: int = 0
    """Copies printed."""


@dataclass(frozen=True)
class TakeRow:
    """A result that may be taken home."""

    id: str
    end: End
    visit: str
    about: str


class Store:
    """The database of one server; it may be used from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the database, empty if it does not exist or is of another version. Raises sqlite3.Error."""
        self._lock = threading.Lock()
        self._is_closed = False
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
                self._database.execute(f"PRAGMA {pragma}")
            (version,), (health,) = (
                self._database.execute(f"PRAGMA {name}").fetchone()
                for name in ("user_version", "quick_check")
            )
            if health != "ok":
                raise sqlite3.DatabaseError(health)
            if version != _VERSION:
                self._database.executescript(_SCHEMA)
        except BaseException:
            self._database.close()
            raise

    def add(self, row: VisitRow) -> None:
        """Add a visit."""
        self._insert("visits", row)

    def update(self, visit: str, **values: object) -> None:
        """Change columns of a visit; `end` stands for all of its columns."""
        if isinstance(end := values.pop("end", None), End):
            values |= vars(end)
        assignments = ", ".join(f"{name} = ?" for name in values)
        self._do(f"UPDATE visits SET {assignments} WHERE id = ?", *values.values(), visit)

    def remove(self, visit: str) -> None:
        """Forget a visit."""
        self._do("DELETE FROM visits WHERE id = ?", visit)

    def visits(self) -> list[VisitRow]:
        """Return all visits."""
        return [VisitRow(name, End(*row[:4]), *row[4:]) for name, *row in self._do("SELECT * FROM visits")]

    def add_take(self, row: TakeRow) -> None:
        """Add a result that may be taken home."""
        self._insert("takes", row)

    def remove_take(self, take: str) -> None:
        """Forget a result that could be taken home."""
        self._do("DELETE FROM takes WHERE id = ?", take)

    def takes(self) -> list[TakeRow]:
        """Return all results that may be taken home."""
        return [TakeRow(name, End(*row[:4]), *row[4:]) for name, *row in self._do("SELECT * FROM takes")]

    def close(self) -> None:
        """Close the database, and leave no copy of what was deleted. Nothing that is still asked for is done:
        everything is deleted by then, or kept as it is."""
        with self._lock:
            self._is_closed = True
            with suppress(sqlite3.Error):  # a full disk: the next start writes it
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._database.close()

    def clear(self) -> None:
        """Forget everything."""
        self._do("DELETE FROM visits")
        self._do("DELETE FROM takes")

    def _insert(self, table: str, row: "VisitRow | TakeRow") -> None:
        name, end, *others = vars(row).values()
        values = [name, *vars(end).values(), *others]
        self._do(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", *values)

    def _do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._is_closed:
                return []
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                message = f"the kiosk cannot write down who is here ({cause_of(error)}): ask the staff"
                raise KioskError("disk-full", message) from error
