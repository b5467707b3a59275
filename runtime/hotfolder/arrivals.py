"""Photos that arrive: found by file events and by scanning, taken once they have not changed for a while."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.hotfolder.clock import Clock
from runtime.hotfolder.folders import RESERVED
from runtime.hotfolder.signature import Signature, signature_in
from runtime.photo.suffixes import OTHER_PICTURES, SUPPORTED_SUFFIXES

_EMPTY = 10
"""Empty files must be unchanged for this many times longer, since some programs create a file long before
they fill it."""

IsFinished = Callable[[Path, Signature], bool]


@dataclass(frozen=True)
class Waiting:
    """A photo that has not been taken yet."""

    signature: Signature
    since: float
    """When it was last seen to change, by the clock."""
    due: float = 0.0
    """It is not taken before this time."""


class Arrivals:
    """The photos of a folder and its subfolders that are still to be taken, a bounded number in memory.

    `touch` may be called from other threads; everything else belongs to one thread.
    """

    def __init__(
        self,
        folder: Path,
        is_finished: IsFinished,
        *,
        settle: float,
        rescan: float,
        capacity: int,
        clock: Clock,
    ) -> None:
        """Watch over a folder.

        is_finished  whether a file need not be taken (again), by its path in the folder and its signature
        settle       seconds for which a file must not change before it is taken
        rescan       seconds after which the folder is scanned even if no event came
        capacity     most photos held in memory; the others are found when there is room
        """
        self.folder, self._is_finished = folder, is_finished
        self._settle, self._rescan, self._capacity, self._clock = settle, rescan, capacity, clock
        self._waiting: dict[Path, Waiting] = {}
        self._touched: set[Path] = set()
        self._next_scan = 0.0
        self._beyond = 0
        """Photos for which there was no room at the last scan."""
        self._event = threading.Event()
        self._lock = threading.Lock()

    def touch(self, path: Path) -> None:
        """Note that something happened at a path."""
        with self._lock:
            if len(self._touched) < self._capacity:
                self._touched.add(path)
            else:
                self._next_scan = 0.0
        self._event.set()

    def look(self) -> None:
        """Update the waiting photos. Raises OSError if the folder is gone."""
        with self._lock:
            touched, self._touched = self._touched, set()
            scan = self._clock.now() >= self._next_scan or (
                self._beyond > 0 and len(self._waiting) <= self._capacity // 2
            )
            if scan:
                self._next_scan = self._clock.now() + self._rescan
        for path in [*self._waiting]:
            self._see(path)
        if scan or any(path.is_dir() for path in touched):
            self._scan()
        for path in touched:
            if path.is_relative_to(self.folder) and not self._see(path.relative_to(self.folder)):
                self._beyond = max(1, self._beyond)  # it may have been counted already

    def take(self) -> Path | None:
        """Return a photo that has settled and is due, by its path in the folder; it no longer waits."""
        ready = next((path for path, waiting in self._waiting.items() if self._ready_in(waiting) <= 0), None)
        if ready is not None:
            del self._waiting[ready]
        return ready

    def put_back(self, path: Path, seconds: float) -> None:
        """Have a photo wait again, for at least so many seconds. If it no longer exists, it is dropped."""
        self._waiting.pop(path, None)  # to the end
        signature = signature_in(self.folder, path)
        if signature is not None:
            now = self._clock.now()
            self._waiting[path] = Waiting(signature, now, now + seconds)

    def wait(self, most: float) -> None:
        """Wait until something happens or a photo may be ready, for at most so many seconds."""
        soonest = min((self._ready_in(waiting) for waiting in self._waiting.values()), default=most)
        self._clock.wait(self._event, max(0.01, min(most, soonest)))
        self._event.clear()

    def look_again(self) -> None:
        """Have the next look scan the whole folder."""
        with self._lock:
            self._next_scan = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no photo waits and, as far as is known, none is left to be found."""
        return not self._waiting and not self._beyond and not self._touched

    @property
    def in_memory(self) -> int:
        """The number of photos held in memory."""
        return len(self._waiting)

    def __len__(self) -> int:
        """Return how many photos wait in memory and, as far as is known, in the folder."""
        return len(self._waiting) + self._beyond

    def _scan(self) -> None:
        self._beyond = 0
        for place, names, files in os.walk(self.folder, onerror=_raise_for(self.folder)):
            here = Path(place).relative_to(self.folder)
            names.sort()
            for name in sorted(files):
                self._beyond += not self._see(here / name)

    def _see(self, path: Path) -> bool:
        """Note what is at a path now; return False for a photo for which there is no room."""
        signature = signature_in(self.folder, path)
        before = self._waiting.get(path)
        if signature is None:
            self._waiting.pop(path, None)
        elif before is not None:
            if before.signature != signature:
                self._waiting[path] = replace(before, signature=signature, since=self._clock.now())
        elif is_photo(path) and not self._is_finished(path, signature):
            if len(self._waiting) >= self._capacity:
                return False
            self._waiting[path] = Waiting(signature, self._clock.now())
        return True

    def _ready_in(self, waiting: Waiting) -> float:
        settle = self._settle * (1 if waiting.signature.size else _EMPTY)
        return max(waiting.since + settle, waiting.due) - self._clock.now()


def is_photo(path: Path) -> bool:
    """Return whether the name of a file in the folder is that of a photo to be taken.

    Hidden files and folders, the folders done and failed, and everything that is not a picture are ignored.
    """
    parts = path.parts
    hidden = any(part.startswith(".") for part in parts)
    reserved = len(parts) > 1 and parts[0].lower() in RESERVED
    # Those that cannot be read are taken too, to be put into failed/ with a reason.
    return not hidden and not reserved and path.suffix.lower() in SUPPORTED_SUFFIXES | OTHER_PICTURES


def _raise_for(folder: Path) -> Callable[[OSError], None]:
    def raise_for_folder(error: OSError) -> None:
        if error.filename is not None and Path(os.fsdecode(error.filename)) == folder:
            raise error  # a subfolder that vanishes or may not be read is ignored

    return raise_for_folder
