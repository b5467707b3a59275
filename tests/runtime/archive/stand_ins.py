"""Workers for the tests of archives; Ray's processes import them."""

import errno
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.archive.listing import Listed
from runtime.archive.place import Place
from runtime.archive.status import Row
from runtime.archive.worker import Tally, Work, Worker


class Interrupted(Worker):
    """Dies with its process at one photo and finds the disk full at another, the first time each."""

    def _read(self, listed: Listed) -> Any:
        read = super()._read(listed)
        if "kills" in listed.path and first(self._work, "killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        return read

    def _write(self, listed: Listed, restored: Any) -> Row:
        if "full" in listed.path and first(self._work, "full"):
            self._work = replace(self._work, sink=Full(self._work.sink.uri))
        return super()._write(listed, restored)


class Full(Place):
    """A place on a full disk."""

    def write(self, name: str, content: bytes) -> None:
        with self._explained(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Pretending:
    """Says for each photo, at once, how long it would have taken."""

    def __init__(self, work: Work, tally: Tally) -> None:
        self._tally = tally

    def rows(self, photos: Sequence[Listed]) -> list[Row]:
        return [self._row(photo) for photo in photos]

    def _row(self, photo: Listed) -> Row:
        self._tally.begin(photo.path)
        row = {"path": photo.path, "outcome": "restored", "bytes": photo.size, "seconds": seconds_of(photo)}
        row |= {"output_bytes": photo.size}
        self._tally.end(row)
        return row


def seconds_of(photo: Listed) -> float:
    """Return the seconds of a pretended photo: most by its size, the rest by its name."""
    return 0.3 + photo.size / 1000 + 0.2 * (sum(photo.path.encode()) * 7919 % 13) / 13


def first(work: Work, what: str) -> bool:
    """Return whether something happens for the first time in a run, whichever process asks."""
    marks = Path(f"{work.sink.uri}-{what}")
    try:
        marks.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
