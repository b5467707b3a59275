"""Continuous restores, file to file, in one process: do memory, file handles or threads grow?

Photos of several kinds and sizes come in turn, a damaged one among them. After each, what the process holds
is looked at. Whether it grows is told from noise by a straight line through the means of BLOCKS equal parts
of the run, whose slope has a 95 % confidence interval (Student's t; the means of long parts are independent
enough where single samples are not). The first quarter is left out: caches and pools fill then.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from base import command_line
from base.errors import GpenEdgeError, PhotoError
from bench.measure import Measure
from bench.options import add_output, positive
from bench.photos import photo_with_faces
from bench.report import Report, measured
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo
from runtime.restorer import Restorer

KINDS = (("jpg", 1.0, 1), ("png", 0.4, 2), ("webp", 0.6, 1), ("tiff", 1.5, 3), ("bmp", 0.3, 1))
"""Suffix, megapixels and faces of the photos that come in turn."""
DAMAGED = "damaged.jpg"
ROUND = len(KINDS) + 1
BLOCKS = 10
QUANTILE = 2.306
"""Of Student's t at 97.5 %, with BLOCKS - 2 degrees of freedom."""
FEWEST = 2 * BLOCKS + ROUND
"""Photos that must have come, for a slope to be told."""
SMALL = {"memory": 1.0, "handles": 0.5, "threads": 0.5}
"""Growth over a whole run that is none: the samples themselves are kept, and memory comes in pages."""
KEPT = 400
"""Samples in the figures, evenly spread; the slopes come from all."""
MEBIBYTE = 2**20


@dataclass(frozen=True)
class SoakSettings:
    """How long, and with what."""

    minutes: float = 60.0
    photos: int | None = None
    """Stop after so many; None goes on until the time is over."""
    package: str | None = None
    """None is the bundled default."""
    megapixels: float = 1.0
    """What the sizes of KINDS are multiplied by."""
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process held after a photo; small, for it is kept and counts."""

    photo: int
    seconds: float
    """Since the first."""
    memory: float
    """Resident, in MiB."""
    handles: int
    threads: int


@dataclass(frozen=True)
class Trend:
    """How something changes over the run."""

    per_hour: float
    lowest: float
    """Of the 95 % confidence interval."""
    highest: float
    growth: float
    """Over all that was measured, along the line."""
    noise: float
    """Standard deviation of the samples about the line."""
    flat: bool
    """The slope is within noise: no growth can be told, or less than a sample swings, or next to none."""


def look(photo: int, seconds: float) -> Sample:
    """Look at what this process holds. Raises GpenEdgeError where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        handles, threads = (len(list(Path("/proc/self", name).iterdir())) for name in ("fd", "task"))
    except OSError as error:
        raise GpenEdgeError("what a process holds can be looked at on Linux only") from error
    return Sample(photo, seconds, pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE, handles - 1, threads)


def trend(samples: list[Sample], name: str) -> Trend:
    """Return how a field of the samples changes.

    samples  at least BLOCKS, in order
    """
    hours = np.array([sample.seconds for sample in samples]) / 3600
    values = np.array([getattr(sample, name) for sample in samples], float)
    x, y = (np.array([block.mean() for block in np.array_split(each, BLOCKS)]) for each in (hours, values))
    from_middle = x - x.mean()
    spread = float(from_middle @ from_middle)
    slope = float(from_middle @ (y - y.mean())) / spread
    residuals = y - y.mean() - slope * from_middle
    reach = QUANTILE * float(np.sqrt(residuals @ residuals / (BLOCKS - 2) / spread))
    about = values - y.mean() - slope * (hours - x.mean())
    growth = slope * float(hours[-1] - hours[0])
    lowest, noise = slope - reach, float(about.std())
    flat = lowest <= 0 or growth <= max(noise, SMALL[name])
    return Trend(slope, lowest, slope + reach, growth, noise, flat)


def steps(settings: SoakSettings) -> int:
    """Return how often `measure` ticks."""
    return settings.photos or 100


def measure(settings: SoakSettings, tick: Callable[[], None]) -> Report:
    """Restore until time or photos are over; return what was held. Raises GpenEdgeError."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        samples = list(_restored(settings, Path(folder), tick))
    steady = samples[max(ROUND, len(samples) // 4) :]  # without the first quarter
    if len(samples) < FEWEST:
        raise GpenEdgeError(f"only {len(samples)} photos came in that time, of {FEWEST}: give more --minutes")
    trends = {name: trend(steady, name) for name in ("memory", "handles", "threads")}
    grows = [name for name, found in trends.items() if not found.flat]
    hours = (steady[-1].seconds - steady[0].seconds) / 3600
    units = {"memory": "resident memory, MiB", "handles": "file handles", "threads": "threads"}
    memory = [sample.memory for sample in steady]
    return Report(
        name="soak",
        title="Continuous restores",
        headings=("", "first", "last", "lowest", "highest", "change an hour", "95 % confidence", "noise ±"),
        rows=tuple(
            _row(units[name], [getattr(each, name) for each in steady], trends[name]) for name in units
        ),
        summary=f"{len(samples)} photos, {hours:.2g} hours after the first quarter: "
        + (f"{' and '.join(grows)} grew beyond noise." if grows else "memory, handles and threads are flat."),
        figures={
            "settings": asdict(settings),
            "photos": len(samples),
            "damaged": sum(sample.photo % ROUND == 0 for sample in samples),
            "hours": hours,
            "flat": not grows,
            "trends": {name: asdict(found) for name, found in trends.items()},
            "samples": [asdict(each) for each in samples[:: -(-len(samples) // KEPT)]],
            "left_out": len(samples) - len(steady),
        },
        measures=(Measure("resident memory", float(np.median(memory)), "MiB", min(memory), max(memory)),),
        conditions={"package": settings.package or "default", "megapixels": settings.megapixels},
    )


def _row(name: str, values: list[float], found: Trend) -> tuple[str, ...]:
    told = [f"{value:.0f}" for value in (values[0], values[-1], min(values), max(values))]
    interval = f"{found.lowest:+.2f} … {found.highest:+.2f}"
    return (name, *told, f"{found.per_hour:+.2f}", interval, f"{found.noise:.2f}")


def _restored(settings: SoakSettings, folder: Path, tick: Callable[[], None]) -> Iterator[Sample]:
    """Restore photos in turn, as the product does; yield what is held after each."""
    photos = list(_photos(settings, folder))
    with Restorer.open(settings.package, threads=settings.threads) as restorer:
        start, count, told = time.monotonic(), 0, 0
        while settings.photos is None or count < settings.photos:
            seconds = time.monotonic() - start
            done = count if settings.photos else min(100, int(seconds / settings.minutes / 60 * 100))
            for _ in range(done - told):
                tick()
            told = done
            if seconds > settings.minutes * 60:
                return
            count += 1
            _restore(restorer, photos[(count - 1) % ROUND], folder)
            yield look(count, time.monotonic() - start)


def _restore(restorer: Restorer, path: Path, folder: Path) -> None:
    try:
        photo = read_photo(path)
    except PhotoError:
        if path.name != DAMAGED:
            raise
        return
    result = restorer.restore(photo.pixels)
    write_photo(folder / f"restored{path.suffix}", replace(photo, pixels=result.photo), overwrite=True)


def _photos(settings: SoakSettings, folder: Path) -> Iterator[Path]:
    for i, (suffix, megapixels, faces) in enumerate(KINDS):
        path = folder / f"{i}.{suffix}"
        Image.fromarray(photo_with_faces(megapixels * settings.megapixels, faces)).save(path)
        yield path
    damaged = folder / DAMAGED
    shutil.copy(folder / "0.jpg", damaged)
    os.truncate(damaged, damaged.stat().st_size // 2)
    yield damaged


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench soak`."""
    parser.add_argument("--minutes", type=_minutes, default=60.0, help="how long (%(default)g)")
    parser.add_argument("--photos", type=positive, help="stop after so many")
    parser.add_argument("--package", help="work with this package instead of the bundled default")
    parser.add_argument("--threads", type=positive, help="of the networks, in place of one per core")
    parser.add_argument(
        "--megapixels", type=float, default=1.0, help="what sizes are multiplied by (%(default)g)"
    )
    add_output(parser)
    parser.set_defaults(run=_run)


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < 1e6:
        raise argparse.ArgumentTypeError("must be more than 0")
    return minutes


def _run(options: argparse.Namespace) -> int:
    from bench.soak.chart import write_chart

    settings = SoakSettings(
        options.minutes, options.photos, options.package, options.megapixels, options.threads
    )
    report = measured("soak", steps(settings), partial(measure, settings), options.output)
    write_chart(options.output / "soak.png", report)
    return command_line.DONE if report.figures["flat"] else command_line.SOME_FAILED
