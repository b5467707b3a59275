"""Whose the scans are in folders that a scanner fills, and how old.

A scan belongs to the visit during which it arrived: it was not there yet in a listing that began after the
visit. That is known by a clock that nobody can set, since scanners' own clocks are often wrong. What was
missed, because a drive was away or did not answer, belongs to nobody. A file that had no end yet when it was
met keeps its arrival when it is completed, however late that is, unless it gets another name too.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path

from base.text import one_line
from runtime.serve.drive_calls import DriveCalls, NoAnswerError
from runtime.serve.media_photos import Identity, Photo, is_whole, photos_in

_Place = tuple[int, int]
"""Identifies a folder: its file system and its number there."""

ANSWER = 5.0
"""Seconds for which anybody waits for the list of a folder."""
_WRITING = 5.0
"""Seconds in which even a file that has its end may change again and be the same scan, such as one of several
pages; longer, if no list was made in that time."""
_MOST_GONE = 10_000
"""Scans that are gone and still known, since their drive may come back."""
_COARSE = 2.0
"""Seconds by which the times of files are rounded down on some drives."""


@dataclass(frozen=True)
class _Scan:
    identity: Identity
    came: float
    """By `clock`, when it was seen first."""
    not_before: float
    """By `clock`, when it had certainly not arrived yet; -inf if unknown."""
    seen: float
    """By `clock`, when it had certainly arrived."""
    is_whole: bool = True
    """Whether nothing of it remains to be written."""


@dataclass(frozen=True)
class _Listed:
    """A folder or subfolder when it was last listed."""

    place: _Place
    began: float
    """By `clock`, when the listing began."""
    changed: float
    """By the drive's clock, when something in it was last made, moved or deleted."""
    unchanged: float
    """By `clock`, when that had certainly not happened yet; -inf if unknown."""


@dataclass(eq=False)
class _Folder:
    path: Path
    drive: DriveCalls = field(default_factory=DriveCalls)
    photos: tuple[Photo, ...] = ()
    """As it was last listed."""
    place: _Place | None = None
    """Of the folder; another one once a drive is mounted; None if it could not be read."""
    folders: Mapping[Path, _Listed] = field(default_factory=dict)
    """The folder and its subfolders; those that could not be read are as they were before. The folder above,
    if the folder itself did not exist."""
    failed: Mapping[Path, float] = field(default_factory=dict)
    """What in it could not be read, and when it had certainly not arrived yet."""
    begun: float = -inf
    """By `clock`, when the last listing began."""
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
                found[path] = _listed(path, now, folder.folders.get(path))

        before = _readable(folder.path)
        photos = tuple(
            photos_in(folder.path, failed=lambda error: failed.append(Path(error.filename)), listed=note)
        )
        place = before if before == _readable(folder.path) else None
        if place is None:
            found.clear()
        if not folder.was_here and (place is not None or _is_missing(folder.path)):
            with suppress(OSError, RuntimeError):
                above = folder.path.parent
                found[above] = _listed(folder.path.resolve().parent, now, folder.folders.get(above))
        with self._lock:
            new = self._new(photos)
        # The first list may be of thousands of scans, which are not all opened.
        unfinished = {
            photo for photo in new if (not is_whole(photo) if folder.begun > -inf else not photo.identity[0])
        }
        with self._lock:
            self._note(photos, folder, found, now, wall, unfinished)
            unread = [each for each in folder.folders if not {each, *each.parents}.isdisjoint(failed)]
            folder.failed = {path: _failed_since(path, folder, found) for path in failed}
            folder.folders = {path: folder.folders[path] for path in unread} | found
            folder.photos, folder.place = photos, place
            folder.was_here |= place is not None
            folder.begun = now
            self._forget_gone()

    def _new(self, photos: Sequence[Photo]) -> list[Photo]:
        known = ((photo, self._scans.get(photo.path)) for photo in photos)
        return [photo for photo, scan in known if scan is None or scan.identity != photo.identity]

    def _note(
        self,
        photos: Sequence[Photo],
        folder: _Folder,
        found: Mapping[Path, _Listed],
        now: float,
        wall: float,
        unfinished: Set[Photo],
    ) -> None:
        """Note the new scans of a listing that began at these times."""
        new = self._new(photos)
        if not new:
            return
        here = {
            photo.identity
            for photos in (photos, *(each.photos for each in self._folders.values() if each is not folder))
            for photo in photos
            if (scan := self._scans.get(photo.path)) is not None and scan.identity == photo.identity
        }
        versions: dict[Identity, _Scan] = {}
        for scan in sorted(self._scans.values(), key=lambda scan: scan.not_before, reverse=True):
            versions[scan.identity] = scan
        seen = self._clock()
        for photo in new:
            version = versions.get(photo.identity)
            if version is not None and photo.identity not in here:  # it has been moved
                self._scans[photo.path] = version
                continue
            not_before = _not_before(photo, folder, found, seen)
            came = now if not_before > -inf else now - max(0.0, wall - photo.modified)
            if version is not None:  # a copy, or another scan of a scanner that dates all of them alike
                not_before = min(not_before, version.not_before)
            before = self._scans.get(photo.path)
            if before is not None and (
                not before.is_whole or before.seen >= min(now - _WRITING, folder.begun)
            ):
                not_before = min(not_before, before.not_before)  # the rest of it has been written
            is_done = photo not in unfinished
            self._scans[photo.path] = _Scan(photo.identity, came, not_before, seen, is_done)

    def _forget_gone(self) -> None:
        here = sum(len(folder.photos) for folder in self._folders.values())
        if (surplus := len(self._scans) - here - _MOST_GONE) > 0:
            present = {photo.path for folder in self._folders.values() for photo in folder.photos}
            gone = sorted(self._scans.keys() - present, key=lambda path: self._scans[path].came)
            for path in gone[:surplus]:
                del self._scans[path]


def _not_before(photo: Photo, folder: _Folder, found: Mapping[Path, _Listed], seen: float) -> float:
    """Return when a scan that is new had certainly not arrived yet, by `clock`; -inf if unknown.

    In a folder that appears, that is no later than it was written: it may have been moved with all that was
    in it. The drive's clock may be wrong: what it said when the folder above changed is compared with it.
    """
    if photo.path in folder.failed:
        return folder.failed[photo.path]
    before, here = _known(photo.path.parent, folder, found)
    if before is None or here is None:
        return -inf
    if here is found.get(photo.path.parent):
        return before.began
    later = photo.changed - here.changed
    if later > seen - here.unchanged + _COARSE:  # the drive's clock has never said that
        return -inf
    if later > 0 and here.unchanged == before.began:
        return before.began
    return min(before.began, here.unchanged + later - _COARSE)


def _known(
    path: Path, folder: _Folder, found: Mapping[Path, _Listed]
) -> tuple[_Listed, _Listed] | tuple[None, None]:
    """Return a folder or subfolder, or the next one above that was listed before: as it was, and as it is."""
    here, before = found.get(path), folder.folders.get(path)
    if here is not None and before is not None and before.place == here.place:
        return before, here
    if here is None or path in folder.failed or path == folder.path.parent:
        return None, None
    before, above = _known(path.parent, folder, found)
    if before is None or above is None or above.place[0] != here.place[0]:  # a drive has been mounted
        return None, None
    return before, above


def _failed_since(path: Path, folder: _Folder, found: Mapping[Path, _Listed]) -> float:
    """Return when something that cannot be read had certainly not arrived yet, by `clock`."""
    before, here = _known(path.parent, folder, found)
    is_new = before is None or here is not found.get(path.parent)
    return folder.failed.get(path, -inf if before is None or is_new else before.began)


def _listed(path: Path, now: float, before: _Listed | None) -> _Listed:
    """Return a folder that was listed from this time on. Raises OSError."""
    about = path.stat()
    place, unchanged = (about.st_dev, about.st_ino), -inf
    if before is not None and before.place == place:
        unchanged = before.unchanged if before.changed == about.st_mtime else before.began
    return _Listed(place, now, about.st_mtime, unchanged)


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


def _place_of(folder: Path) -> _Place:
    about = folder.stat()
    return about.st_dev, about.st_ino
