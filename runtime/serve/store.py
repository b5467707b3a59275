"""What has to survive a crash, in SQLite: visits and when they end, results, links to take home.

Tokens are stored as digests only. Deleted rows are overwritten.
"""

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS visits (
    id TEXT PRIMARY KEY, began REAL NOT NULL, ends REAL NOT NULL,
    number INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    choice TEXT, result TEXT, copies INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS takes (
    id TEXT PRIMARY KEY, visit TEXT NOT NULL, began REAL NOT NULL, ends REAL NOT NULL, about TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class VisitRow:
    """A visit as it is stored. Times are seconds since 1970, which is what survives a restart."""

    id: str
    began: float
    ends: float
    number: int = 0
    """Counts the photos of the visit; 0 before the first."""
    attempts: int = 0
    """How many times work on the photo has begun and not ended."""
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
    visit: str
    began: float
    ends: float
    about: str


class Store:
    """The database of one server; it may be used from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)

    def add(self, row: VisitRow) -> None:
        """Add a visit."""
        self._do("INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *vars(row).values())

    def update(self, visit: str, **values: object) -> None:
        """Change columns of a visit."""
        assignments = ", ".join(f"{name} = ?" for name in values)
        self._do(f"UPDATE visits SET {assignments} WHERE id = ?", *values.values(), visit)

    def remove(self, visit: str) -> None:
        """Forget a visit."""
        self._do("DELETE FROM visits WHERE id = ?", visit)

    def visits(self) -> list[VisitRow]:
        """Return all visits."""
        return [VisitRow(*row) for row in self._do("SELECT * FROM visits")]

    def add_take(self, row: TakeRow) -> None:
        """Add a result that may be taken home."""
        self._do("INSERT INTO takes VALUES (?, ?, ?, ?, ?)", *vars(row).values())

    def remove_take(self, take: str) -> None:
        """Forget a result that could be taken home."""
        self._do("DELETE FROM takes WHERE id = ?", take)

    def takes(self) -> list[TakeRow]:
        """Return all results that may be taken home."""
        return [TakeRow(*row) for row in self._do("SELECT * FROM takes")]

    def close(self) -> None:
        """Close the database, and leave no copy of what was deleted."""
        with self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._database.close()

    def _do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def seconds_left(began: float, ends: float, wall: float) -> float:
    """Return how many seconds are left by a clock that may have been wrong before, or be wrong now.

    began, ends, wall  seconds since 1970; `wall` is the present time
    """
    if wall < began - 1:  # the clock has gone back: nobody knows for how long this has been here
        return 0
    return min(ends - wall, ends - began)
