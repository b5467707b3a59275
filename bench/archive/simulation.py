"""A large archive on Ray's own scheduler, with actors that sleep instead of restoring.

The photos are really listed, but their files are empty. An actor sleeps for as long as such a photo takes,
only many times faster. Measured are the driver's memory and how far the estimate of `--dry-run` is off.
"""

import hashlib
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from base.command_line import needs_extra
from bench.benchmark import Tick
from bench.memory import peak_memory
from runtime.archive.listing import Listed, list_photos, sample_of
from runtime.archive.options import parser
from runtime.archive.place import place_of
from runtime.archive.status import Row
from runtime.archive.worker import Tally, Work
from runtime.commands.options import run_options

SECONDS = (0.23, 0.39, 0.46, 0.54, 0.58, 0.68, 0.83, 1.14, 1.95, 3.6, 7.6)
"""Seconds for photos without and with faces: quantiles of 300 photos, restored by two actors on a busy
machine."""
ALLOWED_MEMORY, ALLOWED_ERROR = 2048.0, 0.15
"""Bounds: MiB of the driver's memory, and the relative error of the estimate."""
_FOLDER = 1000
"""Photos in a folder."""
_LARGEST = 12_000_000
"""Bytes that the largest photo claims to have; its file is sparse."""


@dataclass(frozen=True)
class Sleeper:
    """Sleeps for as long as photos take."""

    faster: float
    tally: Tally

    def rows(self, photos: Sequence[Listed]) -> list[Row]:
        """Return a row for each photo."""
        start = time.perf_counter()
        rows: list[Row] = []
        for photo in photos:
            time.sleep(seconds_of(photo) / self.faster)
            rows.append({"path": photo.path, "outcome": "restored", "bytes": photo.size, "faces": 1})
            self.tally.end(rows[-1])
        seconds = (time.perf_counter() - start) / len(photos)
        return [row | {"seconds": seconds} for row in rows]


def seconds_of(photo: Listed) -> float:
    """Return the seconds that a photo takes, which depend on its size and on chance."""
    chance = int.from_bytes(hashlib.sha256(photo.path.encode()).digest()[:4], "big") / 2**32
    by_size = photo.size / _LARGEST
    return SECONDS[min(len(SECONDS) - 1, int((0.5 * by_size + 0.5 * chance) * len(SECONDS)))]


def opened(faster: float, work: Work, tally: Tally) -> Sleeper:
    """Return what an actor works with."""
    return Sleeper(faster, tally)


@dataclass(frozen=True)
class Simulated:
    """The measurements of a simulated run, and the estimate for it."""

    listing: float
    """Seconds until all photos were listed."""
    start: float
    """Estimated seconds until the actors are ready."""
    expected: float
    """Estimated seconds of the run."""
    took: float
    memory: float
    """The driver's peak in MiB."""
    rows: int
    is_whole: bool
    """Every photo has one row."""

    @property
    def off(self) -> float:
        """The share by which the estimate is off."""
        return self.expected / self.took - 1

    @property
    def is_within(self) -> bool:
        """Whether the estimate and the memory are within their bounds."""
        return abs(self.off) <= ALLOWED_ERROR and self.memory <= ALLOWED_MEMORY


STEPS = 3


def measure(count: int, actors_at_once: int, faster: float, sampled: int, tick: Tick) -> Simulated:
    """List an archive, estimate its run, and run it."""
    with needs_extra("archive", "python -m bench archive"):
        from runtime.archive.cluster import Actors, restore_all, rows_of, started
        from runtime.archive.command import measured

    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder, "photos"), count)
        work = Work(
            place_of(f"{folder}/photos"),
            place_of(f"{folder}/results"),
            run_options(parser().parse_args([f"{folder}/photos", "-o", f"{folder}/results"])),
        )
        open_worker = partial(opened, faster)
        actors = Actors(actors_at_once, actors_at_once, cpus=0.01)
        begin = time.perf_counter()
        photos = list_photos(work.source, work.sink)
        listing = time.perf_counter() - begin
        tick()
        with started(None, 1):
            begin = time.perf_counter()
            sample = sample_of(photos, sampled)
            found = measured(photos, sample, work, actors, begin, open_worker)
            tick()
            begin = time.perf_counter()
            restore_all(photos, work, actors, open_worker=open_worker)
            took = time.perf_counter() - begin
            rows = rows_of(work.sink, ["path"])["path"].to_pylist()
        tick()
    is_whole = len(rows) == len(set(rows)) == len(photos)
    expected = found.duration(actors_at_once)
    return Simulated(listing, found.start, expected, took, peak_memory(), len(rows), is_whole)


def _fill(root: Path, count: int) -> None:
    """Make sparse files of all sizes, in folders of a thousand."""
    for i in range(count):
        if i % _FOLDER == 0:
            folder = root / f"{i // _FOLDER:05}"
            folder.mkdir(parents=True)
        with (folder / f"{i:07}.jpg").open("wb") as file:
            file.truncate(1 + int(_LARGEST * (i * math.sqrt(2) % 1)))
