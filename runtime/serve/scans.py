"""Whose the scans are in folders that a scanner fills, and how old.

A scan belongs to the visit during which it arrived: it was not there yet in a listing that began after the
visit. That is known by a clock that nobody can set, since scanners' own clocks are often wrong. What was
missed, because a drive was away or did not answer, belongs to nobody.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path

from base.text import one_line
from runtime.serve.drive_calls import DriveCalls, NoAnswerError
from runtime.serve.media_photos import Identity, Photo, photos_in

_Place = tuple[int, int]
"""Identifies a folder: its file system and its number there."""

ANSWER = 5.0
"""Seconds for which anybody waits for the list of a folder."""
_WRITING = 5.0
"""Seconds in which a scan that is still being written changes again, unless no list was made in that time."""
_MOST_GONE = 10_000
"""Scans that are gone and still known, since their drive may come back."""
_MOST_LISTINGS = 1000
"""Listings of a folder whose beginning is remembered."""


@dataclass(frozen=True)
class _Scan:
    identity: Identity
    came: float
    """By `clock`, when it was seen first."""
    not_before: float
    """By `clock`, when it had certainly not arrived yet; -inf if unknown."""
    seen: float
    """By `clock`, when it had certainly arrived."""


@dataclass(frozen=True)
class _Listed:
    """A folder or subfolder when it was last listed."""

    place: _Place
    began: float
    """By `clock`, when the listing began."""
    changed: float
    """By the drive's clock, when something in it was last made, moved or deleted."""


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
    folders: Mapping[Path, _Listed] = field(default_factory=dict)
    """The folder and its subfolders; those that could not be read are as they were before."""
    failed: Mapping[Path, float] = field(default_factory=dict)
    """What in it could not be read, and when it had certainly not arrived yet."""
    begun: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_MOST_LISTINGS))
    """When it was listed, by the time of day and by `clock`."""
    was_here: bool = False
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
        """Note which scans exist, so that they are not shown to a customer who has come just now."""
        for folder in self._folders.values():
            with suppress(NoAnswerError):
                self._do(folder, partial(self._look, folder))

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
        return scan is not None and scan.identity == identity and scan.not_before >= self._since()

    def has_unknown(self, path: Path) -> bool:
        """Return whether a folder has a scan that may have arrived during the current visit, or before."""
        since = self._since()
        with self._lock:
            scans = [self._scans.get(photo.path) for photo in self._folders[path].photos]
        return any(scan is not None and scan.not_before < since <= scan.seen for scan in scans)

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
        """Note the scans in a folder and when they arrived. If that is unknown, their age is taken from the
        time of day. Scans that are gone stay known: the drive may be back."""
        now, wall = self._clock(), time.time()
        found: dict[Path, _Listed] = {}
        failed: list[Path] = []

        def note(path: Path) -> None:
            with suppress(OSError):
                about = path.stat()
                found[path] = _Listed((about.st_dev, about.st_ino), now, about.st_mtime)

        before = _readable(folder.path)
        photos = tuple(
            photos_in(folder.path, failed=lambda error: failed.append(Path(error.filename)), listed=note)
        )
        place = before if before == _readable(folder.path) else None
        if place is None:
            found.clear()
        parent = _parent(folder.path) if place is None and _is_missing(folder.path) else None
        with self._lock:
            self._note(photos, folder, found, now, wall)
            unread = [each for each in folder.folders if not {each, *each.parents}.isdisjoint(failed)]
            folder.failed = {path: _failed_since(path, folder, found) for path in failed}
            folder.folders = {path: folder.folders[path] for path in unread} | found
            folder.photos, folder.place, folder.parent = photos, place, parent
            folder.was_here |= place is not None
            folder.begun.append((wall, now))
            self._forget_gone()

    def _note(
        self, photos: Sequence[Photo], folder: _Folder, found: Mapping[Path, _Listed], now: float, wall: float
    ) -> None:
        """Note the new scans of a listing that began at these times."""
        known = {photo.path: self._scans.get(photo.path) for photo in photos}
        new = [
            photo
            for photo in photos
            if (scan := known[photo.path]) is None or scan.identity != photo.identity
        ]
        if not new:
            return
        versions: dict[Identity, _Scan] = {}
        for scan in sorted(self._scans.values(), key=lambda scan: scan.not_before, reverse=True):
            versions[scan.identity] = scan
        seen = self._clock()
        for photo in new:
            if photo.identity in versions:  # it has been moved or copied
                self._scans[photo.path] = versions[photo.identity]
                continue
            not_before = _not_before(photo, folder, found)
            came = now if not_before > -inf else now - max(0.0, wall - photo.modified)
            before = known[photo.path]
            if before is not None and before.seen >= min(now - _WRITING, _last(folder)):
                not_before = min(not_before, before.not_before)  # it is still being written
            self._scans[photo.path] = _Scan(photo.identity, came, not_before, seen)

    def _forget_gone(self) -> None:
        here = sum(len(folder.photos) for folder in self._folders.values())
        if (surplus := len(self._scans) - here - _MOST_GONE) > 0:
            present = {photo.path for folder in self._folders.values() for photo in folder.photos}
            gone = sorted(self._scans.keys() - present, key=lambda path: self._scans[path].came)
            for path in gone[:surplus]:
                del self._scans[path]


def _not_before(photo: Photo, folder: _Folder, found: Mapping[Path, _Listed]) -> float:
    """Return when a scan that is new had certainly not arrived yet, by `clock`; -inf if unknown.

    In a folder that appears, that is known only of what was written since: it may have been moved with all
    that was in it.
    """
    if photo.path in folder.failed:
        return folder.failed[photo.path]
    not_before, moved = _bounds(photo.path.parent, folder, found)
    if moved < photo.changed <= time.time():
        return not_before
    written = (began for wall, began in reversed(folder.begun) if wall <= photo.changed <= time.time())
    return not_before if moved == -inf else min(not_before, next(written, -inf))


def _bounds(path: Path, folder: _Folder, found: Mapping[Path, _Listed]) -> tuple[float, float]:
    """Return when new scans in a folder or subfolder had certainly not arrived yet, by `clock`, and since
    when it has certainly been there, by its drive's clock; -inf if it was listed before."""
    here, before = found.get(path), folder.folders.get(path)
    if here is not None and before is not None and before.place == here.place:
        return before.began, -inf
    if here is None or path in folder.failed:
        return -inf, -inf
    if path != folder.path:
        not_before, moved = _bounds(path.parent, folder, found)
        above = found.get(path.parent)
        return not_before, max(moved, above.changed) if above else inf
    return (_last(folder), inf) if _has_been_made(folder, here.place) else (-inf, -inf)


def _failed_since(path: Path, folder: _Folder, found: Mapping[Path, _Listed]) -> float:
    """Return when something that cannot be read had certainly not arrived yet, by `clock`."""
    not_before, moved = _bounds(path.parent, folder, found)
    return folder.failed.get(path, not_before if moved == -inf else -inf)


def _last(folder: _Folder) -> float:
    """Return when the last listing of a folder began, by `clock`."""
    return folder.begun[-1][1] if folder.begun else -inf


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
