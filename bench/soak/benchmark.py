"""Continuous restores, file to file, in one process: do memory, file handles or threads grow?

Photos of several formats and sizes are restored in turn, including a damaged one. After each, the resources
of the process are sampled. Growth is distinguished from noise by a straight line through the means of BLOCKS
equal parts of the run, whose slope has a 95 % confidence interval (Student's t; the means of long parts are
independent enough where single samples are not). The first quarter is left out: caches and pools fill then.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import linregress

from base.errors import GpenEdgeError, PhotoError
from base.setting import Range, option
from bench.benchmark import Benchmark, Tick, model
from bench.photos import photo_with_faces
from bench.report import Measure, Report, table
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo
from runtime.restorer import Restorer

KINDS = (("jpg", 1.0, 1), ("png", 0.4, 2), ("webp", 0.6, 1), ("tiff", 1.5, 3), ("bmp", 0.3, 1))
"""Suffix, megapixels and number of faces of the photos that are restored in turn."""
DAMAGED = "damaged.jpg"
ROUND = len(KINDS) + 1
BLOCKS = 10
QUANTILE = 2.306
"""Of Student's t at 97.5 %, with BLOCKS - 2 degrees of freedom."""
FEWEST = 2 * BLOCKS + ROUND
"""Photos that are needed to measure a slope."""
SMALL = {"memory": 1.0, "handles": 0.5, "threads": 0.5}
"""Growth over a whole run that is ignored: samples take memory themselves, and memory is allocated in
pages."""
KEPT = 400
"""Samples in the figures, evenly spread; the slopes come from all."""
MEBIBYTE = 2**20
TITLES = {"memory": "resident memory, MiB", "handles": "file handles", "threads": "threads"}
"""What is watched: the fields of a sample."""


@dataclass(frozen=True)
class SoakSettings:
    """How long, and with what."""

    minutes: float = option(60.0, "Duration in minutes.", range=Range(1e-3, 1e6))
    photos: int | None = option(None, "Largest number of photos.", range=Range(1))
    package: str | None = model()
    threads: int | None = option(None, "Threads of the networks, in place of one per core.", range=Range(1))
    megapixels: float = option(1.0, "Multiply the size of the photos by this.", range=Range(1e-3, 100))


@dataclass(frozen=True, slots=True)
class Sample:
    """The resources of the process after a photo. Samples must be small, because they count as memory
    themselves."""

    photo: int
    seconds: float
    """Since the first."""
    memory: float
    """Resident, in MiB."""
    handles: int
    threads: int


@dataclass(frozen=True)
class Trend:
    """The trend of one resource over the run."""

    per_hour: float
    lowest: float
    """Of the 95 % confidence interval."""
    highest: float
    growth: float
    """Over all that was measured, along the line."""
    noise: float
    """Standard deviation of the samples about the line."""
    flat: bool
    """The slope is within noise: growth is not significant, less than the samples vary, or tiny."""


def look(photo: int, seconds: float) -> Sample:
    """Sample the resources of this process. Raises GpenEdgeError if the system does not report them."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        handles, threads = (len(list(Path("/proc/self", name).iterdir())) for name in ("fd", "task"))
    except OSError as error:
        raise GpenEdgeError("the resources of a process can only be sampled on Linux") from error
    return Sample(photo, seconds, pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE, handles - 1, threads)


def trend(samples: list[Sample], name: str) -> Trend:
    """Return how a field of the samples changes.

    samples  at least BLOCKS, in order
    """
    hours = np.array([sample.seconds for sample in samples]) / 3600
    values = np.array([getattr(sample, name) for sample in samples], float)
    x, y = (np.array([block.mean() for block in np.array_split(each, BLOCKS)]) for each in (hours, values))
    line = linregress(x, y)
    slope, reach = float(line.slope), QUANTILE * float(line.stderr)
    about = values - y.mean() - slope * (hours - x.mean())
    growth = slope * float(hours[-1] - hours[0])
    lowest, noise = slope - reach, float(about.std())
    flat = lowest <= 0 or growth <= max(noise, SMALL[name])
    return Trend(slope, lowest, slope + reach, growth, noise, flat)


def steps(settings: SoakSettings) -> int:
    """Return how many steps `measure` reports."""
    return settings.photos or 100


def measure(settings: SoakSettings, tick: Tick) -> Report:
    """Restore until the time or the photos run out; return the samples. Raises GpenEdgeError."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        samples = list(_restored(settings, Path(folder), tick))
    steady = samples[max(ROUND, len(samples) // 4) :]  # without the first quarter
    if len(samples) < FEWEST:
        raise GpenEdgeError(f"only {len(samples)} photos came in that time, of {FEWEST}: give more --minutes")
    trends = {name: trend(steady, name) for name in TITLES}
    grows = [name for name, found in trends.items() if not found.flat]
    hours = (steady[-1].seconds - steady[0].seconds) / 3600
    memory = [sample.memory for sample in steady]

    def values(name: str) -> list[float]:
        return [getattr(each, name) for each in steady]

    columns: dict[str, Callable[[str], str]] = {
        "": lambda name: TITLES[name],
        "first": lambda name: f"{values(name)[0]:.0f}",
        "last": lambda name: f"{values(name)[-1]:.0f}",
        "lowest": lambda name: f"{min(values(name)):.0f}",
        "highest": lambda name: f"{max(values(name)):.0f}",
        "change an hour": lambda name: f"{trends[name].per_hour:+.2f}",
        "95 % confidence": lambda name: f"{trends[name].lowest:+.2f} … {trends[name].highest:+.2f}",
        "noise ±": lambda name: f"{trends[name].noise:.2f}",
    }
    return Report(
        name="soak",
        tables=(table("Continuous restores", TITLES, columns),),
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
        failed=bool(grows),
    )


def _restored(settings: SoakSettings, folder: Path, tick: Tick) -> Iterator[Sample]:
    photos = list(_photos(settings, folder))
    with Restorer.open(settings.package, threads=settings.threads) as restorer:
        start, count, shown = time.monotonic(), 0, 0
        while settings.photos is None or count < settings.photos:
            seconds = time.monotonic() - start
            done = count if settings.photos else min(100, int(seconds / settings.minutes / 60 * 100))
            for _ in range(done - shown):
                tick()
            shown = done
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


def chart(figure: Figure, report: Report) -> None:
    """Draw the resources of the process over time, and mark the part left out of the slopes."""
    samples, left_out = report.figures["samples"], report.figures["left_out"]
    minutes = [sample["seconds"] / 60 for sample in samples]
    steady = [at for at, sample in zip(minutes, samples, strict=True) if sample["photo"] > left_out]
    figure.set_size_inches(8, 6)
    for axes, (name, title) in zip(figure.subplots(3, 1, sharex=True), TITLES.items(), strict=True):
        values = [sample[name] for sample in samples]
        axes.plot(minutes, values, linewidth=1)
        axes.axvspan(0, min(steady, default=minutes[-1]), alpha=0.15, color="grey")
        axes.set_ylim(0, 1.15 * max(values))
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
    axes.set_xlabel("minutes (grey: not part of the slopes)")


BENCHMARK = Benchmark(SoakSettings, steps, measure, chart)
