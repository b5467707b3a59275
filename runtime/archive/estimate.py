"""Estimate how long an archive takes, from a sample of its photos that the same actors restored."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from base.text import rounded
from runtime.archive.blocks import block_of, turns
from runtime.archive.listing import Listed
from runtime.archive.status import Row

RAY = 0.15
"""Seconds that Ray itself needs for a block of photos: its tasks, its rows in Parquet and its checkpoint
(`python -m bench archive --photos 100000 --faster 200 --restored 0`: 2.4 ms a photo on a busy machine).
"""


@dataclass(frozen=True)
class Estimate:
    """The estimate of a run."""

    photos: int
    size: int
    """Bytes of all photos."""
    sampled: int
    failed: int
    """Of the sample."""
    seconds: float
    """Seconds that an actor needs for a photo, on average."""
    error: float
    """Standard error of `seconds`."""
    output_size: float
    """Bytes of all results."""
    start: float
    """Seconds until the actors are ready."""
    block: int
    """Photos in a block of the run."""

    def duration(self, actors: int) -> float:
        """Return the seconds that the run takes with this many actors. Their last blocks end at different
        times, and a single process does Ray's own work for each block.
        """
        restoring = turns(self.photos, self.block, actors) * self.seconds
        return self.start + max(restoring, -(-self.photos // self.block) * RAY)

    def lines(self, least: int, most: int) -> Iterator[str]:
        """Yield the estimate in sentences, for the smallest and the largest number of actors."""
        failed = f", {self.failed} of them failed" if self.failed else ""
        yield f"{self.photos} photos, {written_size(self.size)}"
        yield (
            f"sample: {self.sampled} photos{failed}; {rounded(self.seconds, 3)} s a photo in each actor "
            f"(± {rounded(2 * self.error, 1)} s)"
        )
        for actors in dict.fromkeys((least, most)):
            seconds = self.duration(actors)
            rate = self.photos / seconds
            yield (
                f"with {actors} actor{'s' * (actors > 1)}: {written_time(seconds)}, "
                f"{rounded(rate * 3600, 4)} photos an hour; "
                f"reading {written_size(rate * self.size / self.photos)}/s, "
                f"writing {written_size(rate * self.output_size / self.photos)}/s"
            )


def estimate(photos: Sequence[Listed], rows: Sequence[Row], elapsed: float, actors: int) -> Estimate:
    """Estimate a run.

    rows     of a sample of the photos
    elapsed  seconds that the sample took in all
    actors   that restored it, and the most of the run
    """
    seconds = [row["seconds"] for row in rows]
    mean = statistics.fmean(seconds)
    written = [row.get("output_bytes") or 0 for row in rows]
    return Estimate(
        photos=len(photos),
        size=sum(photo.size for photo in photos),
        sampled=len(rows),
        failed=sum(row["outcome"] == "failed" for row in rows),
        seconds=mean,
        error=statistics.stdev(seconds) / math.sqrt(len(rows)) if len(rows) > 1 else mean,
        output_size=statistics.fmean(written) * len(photos),
        start=max(0.0, elapsed - turns(len(rows), block_of(len(rows), actors), actors) * mean),
        block=block_of(len(photos), actors),
    )


def written_time(seconds: float) -> str:
    """Return a duration in words: `40 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}" if unit < 3600 else f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86_400:.1f} days"


def written_size(size: float) -> str:
    """Return a number of bytes in words: `3.2 MB`."""
    for power, name in ((12, "TB"), (9, "GB"), (6, "MB")):
        if size >= 10**power:
            return f"{rounded(size / 10**power, 3)} {name}"
    return f"{rounded(size / 1000, 3)} kB"
