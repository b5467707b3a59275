"""Whose the scans are in folders that a scanner fills, and how old.

A scan belongs to the visit during which it arrived. When it arrived is known by a clock that nobody can set,
since scanners' own clocks are often wrong. What was missed, because a drive was away or did not answer,
belongs to nobody.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from base.text import one_line
from runtime.serve.drive_calls import DriveCalls, NoAnswerError
from runtime.serve.media_photos import Identity, Photo, photos_in

_Place = tuple[int, int]
"""Identifies a folder: its file system and its number there."""

ANSWER = 5.0
"""Seconds for which anybody waits for the list of a folder."""
_MOST_GONE = 10_000
"""Scans that are gone and still known, since their drive may come back."""


@dataclass(frozen=True)
class _Scan:
    identity: Identity
    came: float
    """By `clock`, when it was seen first."""
    arrival_unknown: bool
    """The arrival time is unknown, so it is shown to nobody."""


@dataclass(eq=False)
class _Folder:
    path: Path
    drive: DriveCalls = field(default_factory=DriveCalls)
    photos: tuple[Photo, ...] = ()
    """As it was last listed."""
    place: _Place | None = None
    """Of the folder; another one once a drive is mounted; None if it could not be read."""
    parent: _Place | None = None
    """Of the folder above, if the folder itself did not exist."""
    looked: float = 0.0
    """By the time of day, when it was last looked at."""
    failed: Mapping[Path, float] = field(default_factory=dict)
    """What in it could not be read, and since when, by `clock`."""
    was_here: bool = False
    was_missed: bool = False
    """Whether a visit has begun while it did not answer."""
    is_slow: bool = False
    """Whether it did not answer in time when it was last asked."""


class Scans:
    """The scans in some folders. Its methods may be called from any thread."""

    def __init__(
        self,
        folders: Sequence[Path],
        since: Callable[[], float],
        clock: Callable[[], float],
        log: Callable[[str, str], None],
    ) -> None:
        """Create it, and note which scans exist; arguments are those of `Media`."""
        self._since, self._clock, self._log = since, clock, log
        self._lock = threading.Lock()  # never held while a drive is waited for
        self._folders = {path: _Folder(path) for path in folders}
        self._scans: dict[Path, _Scan] = {}
        self.look()

    def look(self) -> None:
        """Note which scans exist, so that they are not shown to a customer who comes now."""
        for folder in self._folders.values():
            try:
                self._do(folder, partial(self._look, folder))
            except NoAnswerError:
                folder.was_missed = True

    def photos(self, path: Path) -> tuple[Photo, ...]:
        """Return the scans in a folder; those that it had last, if it does not answer in time."""
        folder = self._folders[path]
        with suppress(NoAnswerError):
            self._do(folder, partial(self._look, folder))
        return folder.photos

    def is_here(self, path: Path) -> bool:
        """Return whether a folder was there when it was last looked at."""
        return self._folders[path].place is not None

    def is_own(self, path: Path, identity: Identity) -> bool:
        """Return whether a scan arrived during the current visit."""
        with self._lock:
            scan = self._scans.get(path)
        return (
            scan is not None
            and scan.identity == identity
            and not scan.arrival_unknown
            and scan.came > self._since()
        )

    def tidy(self, oldest: float | None) -> None:
        """Look for scans; delete those that arrived before this time by `clock`, unless it is None.

        Raises OSError if some cannot be deleted.
        """
        failures: list[OSError] = []
        for folder in self._folders.values():
            try:
                self._do(folder, partial(self._tidy, folder, oldest, failures))
            except NoAnswerError as error:
                if oldest is not None:
                    failures.append(NoAnswerError(f"{one_line(folder.path)}: {error}"))
        if failures:
            raise failures[0]

    def _do(self, folder: _Folder, work: Callable[[], None]) -> None:
        """Do some work on a folder. Raises NoAnswerError if it takes too long; it is completed even so."""
        try:
            folder.drive.do(work, ANSWER)
        except NoAnswerError:
            if not folder.is_slow:
                folder.is_slow = True
                sentence = (
                    f"{one_line(folder.path)} does not answer within {ANSWER:g} s: scans are shown late"
                )
                self._log("scans", sentence)
            raise
        folder.is_slow = False

    def _tidy(self, folder: _Folder, oldest: float | None, failures: list[OSError]) -> None:
        self._look(folder)
        for photo in folder.photos if oldest is not None else ():
            with self._lock:
                scan = self._scans.get(photo.path)
            if scan is not None and oldest is not None and scan.came <= oldest:
                try:
                    photo.path.unlink(missing_ok=True)
                except OSError as error:
                    failures.append(error)
                    continue
                with self._lock:
                    self._scans.pop(photo.path, None)

    def _look(self, folder: _Folder) -> None:
        """Note the scans in a folder and when they arrived.

        In a folder that appears, only what was written since it was last looked at has a known arrival, and
        that only if the folder was made, not mounted. If it is unknown, the age is taken from the time of
        day. Scans that are gone stay known: the drive may be back.
        """
        now, wall = self._clock(), time.time()
        was_missed, folder.was_missed = folder.was_missed, False
        failed: dict[Path, float] = {}

        def note(error: OSError) -> None:
            path = Path(error.filename)
            failed[path] = folder.failed.get(path, now)

        before = _readable(folder.path)
        photos = tuple(photos_in(folder.path, failed=note))
        place = before if before == _readable(folder.path) else None
        parent = _parent(folder.path) if place is None and _is_missing(folder.path) else None
        stayed = not was_missed and place is not None and place == folder.place
        was_made = not was_missed and place is not None and _has_been_made(folder, place)

        def arrived(photo: Photo) -> float | None:
            """Return when a new scan arrived, by `clock`; None if that is unknown."""
            if any(above in folder.failed for above in photo.path.parents):
                return None
            if stayed or (was_made and folder.looked <= photo.changed <= time.time()):
                return folder.failed.get(photo.path, now)
            return None

        with self._lock:
            for photo in photos:
                known = self._scans.get(photo.path)
                if known is None or known.identity != photo.identity:
                    came, age = arrived(photo), max(0.0, wall - photo.modified)
                    self._scans[photo.path] = _Scan(
                        photo.identity, now - age if came is None else came, came is None
                    )
            folder.photos, folder.place, folder.failed = photos, place, failed
            folder.was_here |= place is not None
            folder.parent, folder.looked = parent, wall
            self._forget_gone()

    def _forget_gone(self) -> None:
        here = sum(len(folder.photos) for folder in self._folders.values())
        if (surplus := len(self._scans) - here - _MOST_GONE) > 0:
            present = {photo.path for folder in self._folders.values() for photo in folder.photos}
            gone = sorted(self._scans.keys() - present, key=lambda path: self._scans[path].came)
            for path in gone[:surplus]:
                del self._scans[path]


def _has_been_made(folder: _Folder, place: _Place) -> bool:
    """Return whether a folder that never existed has been made, or renamed, since it was last looked at.

    A drive would lie on another file system than the folder above, or that would be another one too.
    """
    if folder.parent is None or folder.was_here:
        return False
    return folder.parent == _parent(folder.path) and folder.parent[0] == place[0]


def _readable(folder: Path) -> _Place | None:
    """Return what identifies a folder; None if it cannot be read."""
    with suppress(OSError), os.scandir(folder) as entries:
        next(entries, None)
        return _place_of(folder)
    return None


def _is_missing(folder: Path) -> bool:
    try:
        folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _parent(folder: Path) -> _Place | None:
    """Return what identifies the folder above one that links may lead to; None if it cannot be read."""
    with suppress(OSError, RuntimeError):
        return _readable(folder.resolve().parent)
    return None


def _place_of(folder: Path) -> _Place:
    about = folder.stat()
    return about.st_dev, about.st_ino
