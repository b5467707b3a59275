"""Photos that arrive: found by events and by looking, taken once they have not changed for a while."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.hotfolder.folders import RESERVED
from runtime.hotfolder.signature import Signature, signature_in
from runtime.photo.reader import SUPPORTED_SUFFIXES

OTHER_PICTURES = frozenset(
    {
        ".arw",
        ".avif",
        ".cr2",
        ".cr3",
        ".dng",
        ".jp2",
        ".jxl",
        ".nef",
        ".orf",
        ".psd",
        ".rw2",
    }
)
"""Suffixes of pictures that are not read: they are taken all the same, so that somebody is told."""

_EMPTY = 10
"""An empty file is given this many times the settle time: some programs fill it long after."""

Known = Callable[[Path, Signature], bool]


@dataclass(frozen=True)
class Waiting:
    """A photo that is not taken yet."""

    signature: Signature
    since: float
    """When it was last seen to change; seconds of a clock that never jumps."""
    due: float = 0.0
    """It is not taken before."""


class Arrivals:
    """The photos of a folder and its folders that are still to be taken, a bounded number of them in memory.

    `touch` may be called from other threads; everything else belongs to one.
    """

    def __init__(
        self,
        folder: Path,
        known: Known,
        *,
        settle: float,
        rescan: float,
        places: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch over a folder.

        known   tells what need not be taken again, by path in the folder and signature
        settle  seconds for which a file must not change before it is taken
        rescan  seconds after which the folder is looked through even though no event came
        places  most photos that wait in memory; the others are found when there is room
        """
        self.folder, self._known = folder, known
        self._settle, self._rescan, self._places, self._clock = settle, rescan, places, clock
        self._waiting: dict[Path, Waiting] = {}
        self._touched: set[Path] = set()
        self._next_scan = 0.0
        self._beyond = 0
        """Photos for which there was no place when the folder was last looked through."""
        self._event = threading.Event()
        self._lock = threading.Lock()

    def touch(self, path: Path) -> None:
        """Note that something happened at a path."""
        with self._lock:
            if len(self._touched) < self._places:
                self._touched.add(path)
            else:
                self._next_scan = 0.0
        self._event.set()

    def look(self) -> None:
        """Bring what is known of the waiting photos up to date. Raises OSError when the folder is gone."""
        with self._lock:
            touched, self._touched = self._touched, set()
            scan = self._clock() >= self._next_scan or (
                self._beyond > 0 and len(self._waiting) <= self._places // 2
            )
            if scan:
                self._next_scan = self._clock() + self._rescan
        for path in [*self._waiting]:
            self._see(path)
        if scan or any(path.is_dir() for path in touched):
            self._scan()
        for path in touched:
            if path.is_relative_to(self.folder) and not self._see(path.relative_to(self.folder)):
                self._beyond = max(1, self._beyond)  # it may have been counted

    def take(self) -> Path | None:
        """Return a photo that has settled and is due, by its path in the folder; it waits no longer."""
        ready = next((path for path, waiting in self._waiting.items() if self._ready_in(waiting) <= 0), None)
        if ready is not None:
            del self._waiting[ready]
        return ready

    def put_back(self, path: Path, seconds: float) -> None:
        """Let a photo wait again, at least so long. It is dropped if it is not there."""
        self._waiting.pop(path, None)  # to the end
        signature = signature_in(self.folder, path)
        if signature is not None:
            now = self._clock()
            self._waiting[path] = Waiting(signature, now, now + seconds)

    def wait(self, most: float) -> None:
        """Wait until something happens or a photo may be ready, at most so many seconds."""
        soonest = min((self._ready_in(waiting) for waiting in self._waiting.values()), default=most)
        self._event.wait(max(0.01, min(most, soonest)))
        self._event.clear()

    def look_again(self) -> None:
        """Have the next look go through the whole folder."""
        with self._lock:
            self._next_scan = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is left to be found, as far as is known."""
        return not self._waiting and not self._beyond and not self._touched

    def __len__(self) -> int:
        """Return how many photos wait, as far as is known: in memory, and in the folder."""
        return len(self._waiting) + self._beyond

    def _scan(self) -> None:
        self._beyond = 0
        for place, names, files in os.walk(self.folder, onerror=_of_folder(self.folder)):
            here = Path(place).relative_to(self.folder)
            names.sort()
            for name in sorted(files):
                self._beyond += not self._see(here / name)

    def _see(self, path: Path) -> bool:
        """Note what is at a path now; return False for a photo that there is no place for."""
        signature = signature_in(self.folder, path)
        before = self._waiting.get(path)
        if signature is None:
            self._waiting.pop(path, None)
        elif before is not None:
            if before.signature != signature:
                self._waiting[path] = replace(before, signature=signature, since=self._clock())
        elif is_photo(path) and not self._known(path, signature):
            if len(self._waiting) >= self._places:
                return False
            self._waiting[path] = Waiting(signature, self._clock())
        return True

    def _ready_in(self, waiting: Waiting) -> float:
        settle = self._settle * (1 if waiting.signature.size else _EMPTY)
        return max(waiting.since + settle, waiting.due) - self._clock()


def is_photo(path: Path) -> bool:
    """Return whether a file of that path in the folder is taken, by its name.

    Hidden files and folders are passed over, and so are the folders done and failed and what is no picture.
    """
    parts = path.parts
    hidden = any(part.startswith(".") for part in parts)
    reserved = len(parts) > 1 and parts[0].lower() in RESERVED
    return not hidden and not reserved and path.suffix.lower() in SUPPORTED_SUFFIXES | OTHER_PICTURES


def _of_folder(folder: Path) -> Callable[[OSError], None]:
    def raise_for_folder(error: OSError) -> None:
        if error.filename is not None and Path(os.fsdecode(error.filename)) == folder:
            raise error  # of folders in it, one that vanishes or may not be read is passed over

    return raise_for_folder
