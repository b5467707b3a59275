"""Photos on memory sticks and cards, and in folders that a scanner fills.

A medium and its photos are known outside by random identifiers, which are looked up here. Links are never
followed, so a hostile stick shows nothing but itself.
"""

import math
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from base.files import for_its_owner
from base.text import cause_of, one_line
from runtime.photo.suffixes import SUPPORTED_SUFFIXES
from runtime.serve import kiosk_config
from runtime.serve.clock import seconds_since_boot
from runtime.serve.errors import KioskError, disk_error
from runtime.serve.pictures import thumbnail
from runtime.serve.wire import FoundPhoto, FoundPhotos, MediaAbout, MediumAbout

ON_A_PAGE = 24
_MOST_PHOTOS = 5000
_MOST_SECONDS = 2.0
"""For searching one medium."""
_DEEPEST = 6
_FRESH = 1.5
"""Seconds for which a list of photos is used again."""


@dataclass(frozen=True)
class _Photo:
    path: Path
    modified: float
    identity: tuple[int, int]
    """Identifies a version of the file: it changes when the file is written again."""


@dataclass(frozen=True)
class _Scan:
    identity: tuple[int, int]
    came: float
    """By `clock`, when it was seen first."""
    is_anyones: bool
    """Whether it lay in its folder when that appeared, so that nobody knows whose it is."""


@dataclass(eq=False)
class _Medium:
    id: str
    kind: Literal["stick", "scans"]
    path: Path
    photos: tuple[_Photo, ...] = ()
    searched: float = float("-inf")


class Media:
    """The media of a kiosk. Its methods may be called from any thread."""

    def __init__(
        self,
        config: kiosk_config.Media,
        *,
        max_megabytes: float,
        max_megapixels: float,
        since: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = seconds_since_boot,
        is_mount: Callable[[Path], bool] = os.path.ismount,
    ) -> None:
        """Create it.

        since     returns the time by `clock` from which scans may be shown; earlier ones are other customers'
        is_mount  returns whether a folder is the top of a stick or card
        """
        self._config, self._since, self._clock, self._is_mount = config, since, clock, is_mount
        self._most_bytes, self._max_megapixels = round(max_megabytes * 1e6), max_megapixels
        self._lock = threading.Lock()
        self._scans_lock = threading.Lock()  # of its own, so that a slow or broken stick delays nobody else
        self._media: dict[Path, _Medium] = {}
        self._ids: dict[Path, str] = {}
        self._paths: dict[str, tuple[Path, _Medium]] = {}
        self._scans: dict[Path, _Scan] = {}
        self._scan_folders: dict[Path, tuple[int, int] | None] = {}
        self._look()

    def about(self) -> MediaAbout:
        """Return the media that are present now."""
        with self._lock:
            here = dict(self._places())
            for path in [path for path in self._media if path not in here]:
                self._forget(self._media.pop(path))
            for path, kind in here.items():
                if path not in self._media:
                    self._media[path] = _Medium(secrets.token_hex(16), kind, path)
            media = list(self._media.values())
            for medium in media:
                self._search(medium)
            return MediaAbout(
                tuple(
                    MediumAbout(each.id, each.kind, one_line(each.path.name), len(self._shown(each)))
                    for each in media
                )
            )

    def photos(self, medium_id: str, page: int) -> FoundPhotos:
        """Return a page of a medium's photos, the newest first. Raises KioskError."""
        with self._lock:
            medium = next((each for each in self._media.values() if each.id == medium_id), None)
            if medium is None:
                raise KioskError("not-found", "the stick or card is gone: put it in again")
            self._search(medium)
            photos = self._shown(medium)
            shown = photos[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]
            found = [FoundPhoto(self._id_of(photo.path, medium), _date(photo.modified)) for photo in shown]
            return FoundPhotos(tuple(found), max(1, -(-len(photos) // ON_A_PAGE)))

    def copy(self, photo_id: str, draft: Path) -> None:
        """Copy a photo to a new file. Raises KioskError."""
        content = self._read(photo_id)
        try:
            with open(draft, "xb", opener=for_its_owner) as file:
                file.write(content)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise disk_error(error) from error

    def thumbnail(self, photo_id: str, size: int) -> bytes:
        """Return a photo at a small size, as JPEG. Raises KioskError and PhotoError."""
        return thumbnail(self._read(photo_id), size, self._max_megapixels)

    def look(self) -> None:
        """Note which scans exist, so that they are not shown to the next customer."""
        with self._scans_lock:
            self._look()

    def tidy(self, seconds: float) -> None:
        """Look for scans; delete those older than this many seconds, if the operator has set a limit."""
        failures = []
        with self._scans_lock:
            here, oldest = self._look(), self._clock() - seconds
            for path in here if self._config.delete_scans else ():
                if self._scans[path].came <= oldest:
                    try:
                        path.unlink(missing_ok=True)
                        del self._scans[path]
                    except OSError as error:
                        failures.append(error)
        if failures:
            raise failures[0]

    def _look(self) -> set[Path]:
        """Note the existing scans and when they arrived, by a clock that nobody can set; return them.

        A folder appears at the start, and when its network drive is there again. Only the age of the scans
        that it has then is taken from the time of day. Scans that are gone stay known: the drive may be back.
        """
        now, wall, here = self._clock(), time.time(), set[Path]()
        for folder in self._config.scans:
            before = _readable(folder)
            photos = list(_photos_in(folder, math.inf, math.inf))
            place = before if before == _readable(folder) else None
            has_appeared = place is None or place != self._scan_folders.get(folder)
            self._scan_folders[folder] = place
            for photo in photos:
                known = self._scans.get(photo.path)
                if known is None or known.identity != photo.identity:
                    age = max(0.0, wall - photo.modified) if has_appeared else 0.0
                    self._scans[photo.path] = _Scan(photo.identity, now - age, has_appeared)
            here |= {photo.path for photo in photos}
        return here

    def _is_own(self, path: Path, identity: tuple[int, int]) -> bool:
        """Return whether a scan arrived during the current visit."""
        scan = self._scans.get(path)
        return (
            scan is not None
            and scan.identity == identity
            and not scan.is_anyones
            and scan.came > self._since()
        )

    def _shown(self, medium: _Medium) -> tuple[_Photo, ...]:
        """Return the photos of a medium that the current customer may see."""
        if medium.kind == "stick":
            return medium.photos
        return tuple(photo for photo in medium.photos if self._is_own(photo.path, photo.identity))

    def _places(self) -> Iterator[tuple[Path, Literal["stick", "scans"]]]:
        for below in self._config.sticks:
            for path in _folders(below):
                if self._is_mount(path):
                    yield path, "stick"
                    continue
                for deeper in _folders(path):
                    if self._is_mount(deeper):
                        yield deeper, "stick"
        for path in self._config.scans:
            if path.is_dir():
                yield path, "scans"

    def _search(self, medium: _Medium) -> None:
        if time.monotonic() - medium.searched < _FRESH:
            return
        if medium.kind == "scans":
            self.look()
        photos = sorted(_photos_in(medium.path), key=lambda photo: (-photo.modified, photo.path))
        medium.photos, medium.searched = tuple(photos), time.monotonic()

    def _id_of(self, path: Path, medium: _Medium) -> str:
        if path not in self._ids:
            self._ids[path] = secrets.token_hex(16)
            self._paths[self._ids[path]] = path, medium
        return self._ids[path]

    def _forget(self, medium: _Medium) -> None:
        for name, (path, of) in list(self._paths.items()):
            if of is medium:
                del self._paths[name], self._ids[path]

    def _read(self, photo_id: str) -> bytes:
        """Return the bytes of a photo, provided that it is a plain file that really lies on its medium."""
        with self._lock:
            path, medium = self._paths.get(photo_id, (None, None))
        if path is None or medium is None:
            raise KioskError("not-found", "the photo is gone: put the stick or card in again")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            if not path.parent.resolve().is_relative_to(medium.path.resolve()):
                raise KioskError("not-found", "the photo is gone: put the stick or card in again")
            with os.fdopen(os.open(path, flags), "rb") as file:
                about = os.fstat(file.fileno())
                if medium.kind == "scans" and not self._is_own(path, _identity(about)):
                    raise KioskError("not-found", "this scan is another customer's: scan again")
                if not stat.S_ISREG(about.st_mode):
                    raise KioskError("not-a-photo", "this is not a photo file: choose another one")
                content = file.read(self._most_bytes + 1)
        except OSError as error:
            message = f"the photo cannot be read ({cause_of(error)}): put the stick or card in again"
            raise KioskError("not-found", message) from error
        if len(content) > self._most_bytes:
            most = self._most_bytes / 1e6
            raise KioskError("too-large", f"the file has more than {most:g} megabytes: choose another one")
        return content


def _date(seconds: float) -> str | None:
    """Return a time since 1970 as local time in ISO 8601; None if it is none that a calendar has."""
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds).isoformat(timespec="seconds")
    return None


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_ino, about.st_mtime_ns


def _readable(folder: Path) -> tuple[int, int] | None:
    """Return what identifies a folder, something else once a drive is mounted; None if it cannot be read."""
    with suppress(OSError), os.scandir(folder) as entries:
        next(entries, None)
        about = folder.stat()
        return about.st_dev, about.st_ino
    return None


def _folders(path: Path) -> list[Path]:
    with suppress(OSError), os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    return []


def _photos_in(top: Path, most: float = _MOST_PHOTOS, seconds: float = _MOST_SECONDS) -> Iterator[_Photo]:
    """Yield the photos of a medium, at most so many, and those that are found in this time."""
    ends, count, deepest = time.monotonic() + seconds, 0, len(top.parts) + _DEEPEST
    for place, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(Path(place).parts) >= deepest:
            folders.clear()
        for name in names:
            if name.startswith(".") or Path(name).suffix.lower() not in SUPPORTED_SUFFIXES:
                continue
            with suppress(OSError):
                about = Path(place, name).lstat()
                if stat.S_ISREG(about.st_mode):
                    count += 1
                    yield _Photo(Path(place, name), about.st_mtime, _identity(about))
            if count >= most or time.monotonic() > ends:
                return
