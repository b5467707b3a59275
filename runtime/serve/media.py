"""Photos on memory sticks and cards, and in folders that a scanner fills.

A medium and its photos are known outside by random identifiers, which are looked up here. A photo that is
written again gets another one, so that the page shows it again. Links are never followed, so a hostile stick
shows nothing but itself.
"""

import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from base.files import for_its_owner
from base.text import cause_of, one_line
from runtime.serve import kiosk_config
from runtime.serve.clock import seconds_since_boot
from runtime.serve.drive_calls import DriveCalls, NoAnswerError
from runtime.serve.errors import KioskError, disk_error
from runtime.serve.media_photos import Identity, Photo, identity_of, photos_in
from runtime.serve.pictures import thumbnail
from runtime.serve.scans import ANSWER, Scans
from runtime.serve.visits.visit_folder import mount_points
from runtime.serve.wire import FoundPhoto, FoundPhotos, MediaAbout, MediumAbout

ON_A_PAGE = 24
_MOST_PHOTOS = 5000
_MOST_SECONDS = 2.0
"""For searching one stick or card."""
_READING = 120.0
"""Seconds that reading a photo may take."""
_AT_ONCE = 4
"""Photos read from one medium at the same time."""
_DRAWN_AT_ONCE = 8
"""Thumbnails drawn at the same time, for which the memory has to suffice."""
_FRESH = 1.5
"""Seconds for which a list of photos is used again."""

Kind = Literal["stick", "scans"]


@dataclass(eq=False)
class _Medium:
    id: str
    kind: Kind
    path: Path
    photos: tuple[Photo, ...] = ()
    searched: float = float("-inf")
    drive: DriveCalls = field(default_factory=DriveCalls)
    reading: DriveCalls = field(default_factory=partial(DriveCalls, _AT_ONCE))


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
        mounts: Callable[[], Set[Path]] = mount_points,
        log: Callable[[str, str], None] = lambda event, sentence: None,
    ) -> None:
        """Create it.

        since   returns the time by `clock` from which scans may be shown; earlier ones are other customers'
        mounts  returns the tops of all mounted file systems
        log     called with an event and a sentence
        """
        self._config, self._clock, self._mounts = config, clock, mounts
        self._most_bytes, self._max_megapixels = round(max_megabytes * 1e6), max_megapixels
        self._scans = Scans(config.scans, since, clock, log)
        self._lock = threading.Lock()  # never held while a medium is waited for
        self._drawing = threading.Semaphore(_DRAWN_AT_ONCE)
        self._roots = {Path(os.path.realpath(path)) for path in config.sticks}
        self._media: dict[Path, _Medium] = {}
        self._ids: dict[tuple[Path, Identity], str] = {}
        self._paths: dict[str, tuple[Photo, _Medium]] = {}

    def about(self) -> MediaAbout:
        """Return the media that are present now; what does not answer is as it was last."""
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
        return MediaAbout(tuple(map(self._about, media)))

    def photos(self, medium_id: str, page: int) -> FoundPhotos:
        """Return a page of a medium's photos, the newest first. Raises KioskError."""
        with self._lock:
            medium = next((each for each in self._media.values() if each.id == medium_id), None)
        if medium is None:
            raise KioskError("not-found", "the stick or card is gone: put it in again")
        self._search(medium)
        photos = self._shown(medium)
        shown = photos[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]
        with self._lock:
            if self._media.get(medium.path) is not medium:
                raise KioskError("not-found", "the stick or card is gone: put it in again")
            found = [FoundPhoto(self._id_of(photo, medium), _date(photo.modified)) for photo in shown]
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
        content = self._read(photo_id)
        with self._drawing:
            return thumbnail(content, size, self._max_megapixels)

    def look(self) -> None:
        """Note which scans exist, so that they are not shown to a customer who has come just now."""
        self._scans.look()

    def tidy(self, seconds: float) -> None:
        """Look for scans; delete those older than this many seconds, if the operator has set a limit.

        Raises OSError if some cannot be deleted.
        """
        self._scans.tidy(self._clock() - seconds if self._config.delete_scans else None)

    def _about(self, medium: _Medium) -> MediumAbout:
        unknown = medium.kind == "scans" and self._scans.has_unknown(medium.path)
        return MediumAbout(
            medium.id, medium.kind, one_line(medium.path.name), len(self._shown(medium)), unknown
        )

    def _shown(self, medium: _Medium) -> tuple[Photo, ...]:
        """Return the photos of a medium that the current customer may see."""
        if medium.kind == "stick":
            return medium.photos
        return tuple(photo for photo in medium.photos if self._scans.is_own(photo.path, photo.identity))

    def _places(self) -> Iterator[tuple[Path, Kind]]:
        """Yield what is here now; no drive is asked for that."""
        mounts = self._mounts()
        for path in sorted(mounts):
            is_below_another = path.parent in mounts and path.parent not in self._roots
            if not self._roots.isdisjoint(path.parents[:2]) and not is_below_another:
                yield path, "stick"
        for path in self._config.scans:
            if self._scans.is_here(path):
                yield path, "scans"

    def _search(self, medium: _Medium) -> None:
        """List the photos of a medium, unless that was done just now or it does not answer."""
        if time.monotonic() - medium.searched < _FRESH:
            return
        if medium.kind == "stick":
            with suppress(NoAnswerError):
                medium.drive.do(partial(self._search_stick, medium), ANSWER)
            return
        _list(medium, self._scans.photos(medium.path))
        with self._lock:  # a scan folder stays for years
            self._forget(medium, keep={(photo.path, photo.identity) for photo in medium.photos})

    def _search_stick(self, medium: _Medium) -> None:
        if time.monotonic() - medium.searched >= _FRESH:  # nobody else has searched it meanwhile
            _list(medium, photos_in(medium.path, _MOST_PHOTOS, _MOST_SECONDS))

    def _id_of(self, photo: Photo, medium: _Medium) -> str:
        version = photo.path, photo.identity
        if version not in self._ids:
            self._ids[version] = secrets.token_hex(16)
            self._paths[self._ids[version]] = photo, medium
        return self._ids[version]

    def _forget(self, medium: _Medium, keep: Set[tuple[Path, Identity]] = frozenset()) -> None:
        for name, (photo, of) in list(self._paths.items()):
            version = photo.path, photo.identity
            if of is medium and version not in keep:
                del self._paths[name], self._ids[version]

    def _read(self, photo_id: str) -> bytes:
        """Return the bytes of a photo. Raises KioskError."""
        with self._lock:
            photo, medium = self._paths.get(photo_id, (None, None))
        if photo is None or medium is None:
            raise KioskError("not-found", "the photo is gone: put the stick or card in again")
        try:
            content = medium.reading.do(partial(self._content, photo, medium), _READING)
        except OSError as error:
            message = f"the photo cannot be read ({cause_of(error)}): put the stick or card in again"
            raise KioskError("not-found", message) from error
        if len(content) > self._most_bytes:
            most = self._most_bytes / 1e6
            raise KioskError("too-large", f"the file has more than {most:g} megabytes: choose another one")
        return content

    def _content(self, photo: Photo, medium: _Medium) -> bytes:
        """Return the bytes of a photo, provided that it is a plain file that really lies on its medium."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        path = photo.path
        if not path.parent.resolve().is_relative_to(medium.path.resolve()):
            raise KioskError("not-found", "the photo is gone: put the stick or card in again")
        with os.fdopen(os.open(path, flags), "rb") as file:
            about = os.fstat(file.fileno())
            if medium.kind == "scans" and not self._scans.is_own(path, identity_of(about)):
                if self._scans.is_own(path, photo.identity):  # what the customer has seen
                    raise KioskError("not-found", "this scan is still being written: wait a moment")
                raise KioskError("not-found", "this scan is another customer's: scan again")
            if not stat.S_ISREG(about.st_mode):
                raise KioskError("not-a-photo", "this is not a photo file: choose another one")
            return file.read(self._most_bytes + 1)


def _list(medium: _Medium, found: Iterable[Photo]) -> None:
    """Note the photos of a medium, the newest first."""
    photos = sorted(found, key=lambda photo: (-photo.modified, photo.path))
    medium.photos, medium.searched = tuple(photos), time.monotonic()


def _date(seconds: float) -> str | None:
    """Return a time since 1970 as local time in ISO 8601; None if it is none that a calendar has."""
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds).isoformat(timespec="seconds")
    return None
