"""Where the time of a whole photo goes, from file to file, by megapixels and faces; and a cold start."""

import math
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from base.setting import Range, option
from bench.benchmark import Benchmark, Tick, model
from bench.endtoend.process import CommandRun, run_command
from bench.endtoend.report import STAGES, PhotoRun, PhotoTimes, WholePhoto, chart, endtoend_report
from bench.photos import save_photo
from bench.report import Report
from bench.rest_times import rest_times, steps_of_rest_times
from runtime import Restorer, RestoreSettings
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo
from runtime.settings.settings import RestorationScope

USUAL = 12
"""Megapixels of the photo that is restored as a whole, or the nearest size that is measured."""


@dataclass(frozen=True)
class EndToEndSettings:
    """Which photos, and how often."""

    package: str | None = model()
    megapixels: tuple[float, ...] = option(
        (1, 12, 24, 48), "Sizes of the photos, in megapixels.", range=Range(0.1, 100)
    )
    faces: tuple[int, ...] = option((1, 5, 29), "Numbers of faces in a photo.", range=Range(1))
    runs: int = option(3, "Number of runs of each photo.", range=Range(1))
    quick: bool = option(False, "Show how fast this machine restores a photo of 12 megapixels with 1 face.")


def _settled(settings: EndToEndSettings) -> Iterable[EndToEndSettings]:
    if settings.quick:
        usual = EndToEndSettings()
        settings = replace(
            settings,
            megapixels=(12,) if settings.megapixels == usual.megapixels else settings.megapixels,
            faces=(1,) if settings.faces == usual.faces else settings.faces,
        )
    yield settings


def steps(settings: EndToEndSettings) -> int:
    """Return how many steps `measure` reports."""
    photos = len(settings.megapixels) * len(settings.faces) * (settings.runs + 1)
    return photos + settings.runs + 1 + settings.runs + steps_of_rest_times(settings.runs)


def measure(settings: EndToEndSettings, tick: Tick) -> Report:
    """Restore photos from file to file. Raises GpenEdgeError."""
    with (
        tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as temporary,
        Restorer.open(settings.package) as restorer,
    ):
        photo, output = Path(temporary, "photo.jpg"), Path(temporary, "restored.jpg")

        def command() -> CommandRun:
            package = str(restorer.package.folder)
            done = run_command(photo, "-o", output, "--overwrite", "--model", package)
            tick()
            return done

        save_photo(photo, 0.3, 1)
        command()  # so that the files are in the page cache
        starts = [command() for _ in range(settings.runs)]
        _one_run(restorer, photo, output)  # opens everything that is only opened on first use
        photos = []
        for megapixels in settings.megapixels:
            for faces in settings.faces:
                save_photo(photo, megapixels, faces)
                runs = []
                for _ in range(settings.runs):
                    runs.append(_one_run(restorer, photo, output))
                    tick()
                photos.append(PhotoTimes(megapixels, faces, tuple(runs), command().peak_mib))
        whole = _whole(settings, restorer, photo, output, tick)
        return endtoend_report(restorer, photos, starts, whole)


def _whole(
    settings: EndToEndSettings, restorer: Restorer, photo: Path, output: Path, tick: Tick
) -> WholePhoto:
    """Restore a photo of the usual size with all that lies around its face."""
    megapixels = min(settings.megapixels, key=lambda size: abs(size - USUAL))
    save_photo(photo, megapixels, 1)
    _one_run(restorer, photo, output, "photo")  # opens the photo network
    runs = []
    for _ in range(settings.runs):
        runs.append(_one_run(restorer, photo, output, "photo"))
        tick()
    rest = rest_times(read_photo(photo).pixels, None, settings.runs, tick)
    return WholePhoto(megapixels, tuple(runs), rest)


def _one_run(restorer: Restorer, photo: Path, output: Path, scope: RestorationScope = "faces") -> PhotoRun:
    wall: dict[str, float] = {}
    cpu: dict[str, float] = {}
    last = time.perf_counter(), time.process_time()

    def mark(stage: str) -> None:
        nonlocal last
        now = time.perf_counter(), time.process_time()
        wall[stage], cpu[stage] = now[0] - last[0], now[1] - last[1]
        last = now

    read = read_photo(photo)
    mark("read")
    found = restorer.detect(read.pixels)
    mark("detect")
    # No budget: on a busy machine it would end passes early, and less work would look fast.
    result = restorer.restore(read.pixels, RestoreSettings(budget=math.inf, scope=scope), found=found)
    mark("restore")
    write_photo(output, replace(read, pixels=result.photo), overwrite=True)
    mark("write")
    stages = wall | {stage: ms / 1000 for stage, ms in result.timings.items() if stage != "detect"}
    passes = sum(face.loop.passes for face in result.faces if face.loop)
    return PhotoRun({stage: stages[stage] for stage in STAGES if stage in stages}, cpu, len(found), passes)


BENCHMARK = Benchmark(EndToEndSettings, steps, measure, chart, each=_settled)
