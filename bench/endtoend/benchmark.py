"""Where the time of a whole photo goes, from file to file, by megapixels and faces; and a cold start's."""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from base import command_line
from bench.endtoend import cold_start
from bench.endtoend.cold_start import Start
from bench.endtoend.face_work import SIZE, face_work
from bench.endtoend.peak import peak_of
from bench.measure import Measure, of_times
from bench.options import add_output, counts, positive
from bench.photos import photo_with_faces
from bench.quality.claims import Claim, row
from bench.report import Report, Row, Table, measured
from bench.timing import median
from runtime import Restorer, RestoreSettings
from runtime.faces.face import Face
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo

MEGAPIXELS = (1, 12, 24, 48)
FACES = (1, 5, 29)
QUICK: dict[str, Any] = {"megapixels": (1, 12), "faces": (1, 5), "runs": 1}
QUALITY = 92
"""Of the photos' JPEG."""
DETECTION, SEARCHED_ONCE = 12, 5
"""Megapixels, and most faces, of the photos whose detection is judged: more faces are smaller ones, which are
searched for in a finer copy too."""
DETECTION_MS, FACE_MS, START_S = 150.0, 100.0, 2.5
"""What is aimed at, on two cores: a detection, a face of 512 pixels beside the network, a cold start."""
STAGES = ("read", "detect", "align", "parsing", "regions", "scratches", "network", "paste", "write")
"""In the order of the work; those that a run does not have are left out."""
LIBRARIES = 8
"""Of the imports that are shown."""


@dataclass(frozen=True)
class EndToEndSettings:
    """Which photos, and how often."""

    package: str | None = None
    """Folder or name; None is the bundled default."""
    megapixels: tuple[float, ...] = MEGAPIXELS
    faces: tuple[int, ...] = FACES
    runs: int = 3


@dataclass(frozen=True)
class PhotoRun:
    """One run of one photo."""

    stages: dict[str, float]
    """Seconds of each stage."""
    cpu: dict[str, float]
    """CPU seconds, of all threads, of `read`, `detect`, `restore` (align to paste) and `write`."""
    found: int
    passes: int
    """Of the network, over all faces."""


@dataclass(frozen=True)
class PhotoTimes:
    """All runs of one photo."""

    megapixels: float
    faces: int
    runs: tuple[PhotoRun, ...]
    peak_mib: float
    """Of a process that does nothing but restore this photo."""

    @property
    def name(self) -> str:
        """Say which photo it is."""
        return f"{self.megapixels:g} MP, {self.faces} face{'s' if self.faces > 1 else ''}"

    def times(self, stage: str) -> list[float]:
        """Return the seconds of a stage in each run."""
        return [run.stages[stage] for run in self.runs]

    def totals(self) -> list[float]:
        """Return the seconds of each run, from file to file."""
        return [sum(run.stages.values()) for run in self.runs]

    def cpu(self) -> float:
        """Return the CPU seconds of a run, from file to file; the median."""
        return median([sum(run.cpu.values()) for run in self.runs])


@dataclass(frozen=True)
class FaceTimes:
    """A face of 512 pixels, beside the network: seconds by stage, and CPU seconds."""

    scale: float
    """Photo pixels per pixel of the crop."""
    stages: tuple[dict[str, float], ...]
    cpu: tuple[dict[str, float], ...]

    def totals(self) -> list[float]:
        """Return the seconds of each run."""
        return [sum(stages.values()) for stages in self.stages]


@dataclass(frozen=True)
class ColdTimes:
    """Cold starts of the command."""

    starts: tuple[Start, ...]
    stages: dict[str, float]
    imports: dict[str, float]


def steps(settings: EndToEndSettings) -> int:
    """Return how often `measure` ticks."""
    return len(settings.megapixels) * len(settings.faces) * (settings.runs + 1) + settings.runs + 2


def measure(settings: EndToEndSettings, tick: Callable[[], None]) -> Report:
    """Restore photos from file to file. Raises GpenEdgeError."""
    with (
        tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as temporary,
        Restorer.open(settings.package) as restorer,
    ):
        folder = Path(temporary)
        cold = _cold(folder, settings, restorer, tick)
        portrait = folder / "portrait.png"
        _one_run(restorer, portrait, folder / "warm.png")  # opens what is opened when first needed
        photos = [
            _photo(megapixels, faces, folder, settings, restorer, tick)
            for megapixels in settings.megapixels
            for faces in settings.faces
        ]
        face = _face(settings, restorer)
        tick()
        return _report(settings, restorer, photos, face, cold)


def _cold(
    folder: Path, settings: EndToEndSettings, restorer: Restorer, tick: Callable[[], None]
) -> ColdTimes:
    from skimage.data import astronaut

    photo, output, package = folder / "portrait.png", folder / "cold.png", str(restorer.package.folder)
    Image.fromarray(astronaut()).save(photo)  # type: ignore[no-untyped-call]
    command = (photo, "-o", output, "--overwrite", "--model", package)
    cold_start.run_command(*command)  # so that the files are in memory
    starts = []
    for _ in range(settings.runs):
        starts.append(cold_start.run_command(*command))
        tick()
    stages, imports = cold_start.stages(photo, output, package), cold_start.imports()
    tick()
    return ColdTimes(tuple(starts), stages, imports)


def _photo(
    megapixels: float,
    faces: int,
    folder: Path,
    settings: EndToEndSettings,
    restorer: Restorer,
    tick: Callable[[], None],
) -> PhotoTimes:
    photo, output = folder / "photo.jpg", folder / "restored.jpg"
    Image.fromarray(photo_with_faces(megapixels, faces)).save(photo, quality=QUALITY)
    runs = []
    for _ in range(settings.runs):
        runs.append(_one_run(restorer, photo, output))
        tick()
    package = str(restorer.package.folder)
    peak = peak_of("runtime.restore", photo, "-o", output, "--overwrite", "--model", package)
    tick()
    return PhotoTimes(megapixels, faces, tuple(runs), peak)


def _one_run(restorer: Restorer, photo: Path, output: Path) -> PhotoRun:
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
    # Without a budget: on a busy machine it would cut passes off, and less work would look fast.
    result = restorer.restore(read.pixels, RestoreSettings(budget=math.inf), found=found)
    mark("restore")
    write_photo(output, replace(read, pixels=result.photo), overwrite=True)
    mark("write")
    del wall["restore"]
    inside = {stage: ms / 1000 for stage, ms in result.timings.items() if stage != "detect"}
    passes = sum(face.loop.passes for face in result.faces if face.loop)
    stages = wall | inside
    return PhotoRun({stage: stages[stage] for stage in STAGES if stage in stages}, cpu, len(found), passes)


def _face(settings: EndToEndSettings, restorer: Restorer) -> FaceTimes | None:
    """Time one face of 512 pixels; None when none is found."""
    photo = photo_with_faces(2, 1)
    found: tuple[Face, ...] = restorer.detect(photo)
    if not found:
        return None
    face_work(photo, found[0])
    done = [face_work(photo, found[0]) for _ in range(max(5, settings.runs))]
    from runtime.faces.align import align

    scale = align(photo, found[0], SIZE).scale
    return FaceTimes(scale, tuple(stages for stages, _ in done), tuple(cpu for _, cpu in done))


def _claims(photos: list[PhotoTimes], face: FaceTimes | None, cold: ColdTimes) -> tuple[Claim, ...]:
    detections = [(1e3 * median(photo.times("detect")), photo.name) for photo in photos if _is_judged(photo)]
    seconds = median([start.seconds for start in cold.starts])
    cost = (1e3 * median(face.totals()), "") if face else None
    return (
        Claim(
            f"detection in {DETECTION} megapixels with up to {SEARCHED_ONCE} faces, ms",
            DETECTION_MS,
            max(detections, default=None),
            at_most=True,
        ),
        Claim(f"a face of {SIZE} pixels beside the network, ms", FACE_MS, cost, at_most=True),
        Claim("cold start to the first result, s", START_S, (seconds, ""), at_most=True),
    )


def _is_judged(photo: PhotoTimes) -> bool:
    return photo.megapixels == DETECTION and photo.faces <= SEARCHED_ONCE


def _cpu_beside(photos: list[PhotoTimes], face: FaceTimes | None, cold: ColdTimes) -> tuple[str, ...]:
    """Return what each claim took of the CPU's time, in its order: a busy machine adds little to that."""
    detections = [median([run.cpu["detect"] for run in photo.runs]) for photo in photos if _is_judged(photo)]
    return (
        f"{1e3 * max(detections):.0f}" if detections else "—",
        f"{1e3 * median([sum(cpu.values()) for cpu in face.cpu]):.0f}" if face else "—",
        f"{median([start.cpu_seconds for start in cold.starts]):.2f}",
    )


def _report(
    settings: EndToEndSettings,
    restorer: Restorer,
    photos: list[PhotoTimes],
    face: FaceTimes | None,
    cold: ColdTimes,
) -> Report:
    name = restorer.package.manifest.name
    judged = _claims(photos, face, cold)
    stages = [stage for stage in STAGES if stage in photos[0].runs[0].stages]
    held = [claim.holds for claim in judged if claim.holds is not None]
    cpu = _cpu_beside(photos, face, cold)
    more = [
        Table(
            "By stage, ms",
            ("photo", *stages),
            tuple(
                (photo.name, *(f"{1e3 * median(photo.times(stage)):.0f}" for stage in stages))
                for photo in photos
            ),
        ),
        Table(
            "What is aimed at, on two cores that nothing else uses; CPU time is of all cores",
            ("claim", "wanted", "measured", "holds", "CPU time"),
            tuple((*row(claim), beside) for claim, beside in zip(judged, cpu, strict=True)),
        ),
        Table("A cold start of python -m runtime.restore, s", ("stage", "s"), tuple(_cold_rows(cold))),
        Table(
            "Its imports, the slowest libraries (measured one by one, which takes longer)",
            ("library", "ms"),
            tuple(
                (library, f"{1e3 * seconds:.0f}")
                for library, seconds in list(cold.imports.items())[:LIBRARIES]
            ),
        ),
    ]
    if face:
        more.append(
            Table(
                f"A face beside the network: crop {SIZE}, {face.scale * SIZE:.0f} pixels of the photo",
                ("stage", "ms", "CPU ms"),
                tuple(_face_rows(face)),
            )
        )
    return Report(
        name="endtoend",
        title=f"Photos from file to file with {name} on {restorer.backend.device}, {settings.runs} runs",
        headings=("photo", "faces found", "passes", "ms", "CPU ms", "peak MiB"),
        rows=tuple(_row(photo) for photo in photos),
        summary=f"{sum(held)} of {len(held)} claims hold, by the medians of wall time.",
        figures={
            "package": name,
            "backend": restorer.backend.name,
            "device": restorer.backend.device,
            "runs": settings.runs,
            "stages": stages,
            "photos": [_figures(photo) for photo in photos],
            "face": asdict(face) if face else None,
            "cold_start": asdict(cold),
            "claims": [asdict(claim) | {"holds": claim.holds} for claim in judged],
        },
        more=tuple(more),
        measures=tuple(_measures(photos, stages, face, cold)),
        conditions={"package": name, "backend": restorer.backend.name, "device": restorer.backend.device},
    )


def _row(photo: PhotoTimes) -> Row:
    return (
        photo.name,
        f"{photo.runs[0].found}",
        f"{photo.runs[0].passes}",
        f"{1e3 * median(photo.totals()):.0f}",
        f"{1e3 * photo.cpu():.0f}",
        f"{photo.peak_mib:.0f}",
    )


def _cold_rows(cold: ColdTimes) -> Iterable[Row]:
    for stage, seconds in cold.stages.items():
        yield stage, f"{seconds:.3f}"
    yield "the command, median", f"{median([start.seconds for start in cold.starts]):.3f}"
    yield "its CPU time, all cores", f"{median([start.cpu_seconds for start in cold.starts]):.3f}"


def _face_rows(face: FaceTimes) -> Iterable[Row]:
    for stage in face.stages[0]:
        wall, cpu = (median([run[stage] for run in runs]) for runs in (face.stages, face.cpu))
        yield stage, f"{1e3 * wall:.1f}", f"{1e3 * cpu:.1f}"
    cpu = median([sum(run.values()) for run in face.cpu])
    yield "all", f"{1e3 * median(face.totals()):.1f}", f"{1e3 * cpu:.1f}"


def _figures(photo: PhotoTimes) -> dict[str, Any]:
    return asdict(photo) | {
        "name": photo.name,
        "median_s": {stage: median(photo.times(stage)) for stage in photo.runs[0].stages},
        "total_s": median(photo.totals()),
        "cpu_s": photo.cpu(),
    }


def _measures(
    photos: list[PhotoTimes], stages: list[str], face: FaceTimes | None, cold: ColdTimes
) -> Iterable[Measure]:
    for photo in photos:
        for stage in stages:
            yield of_times(f"{photo.name}: {stage}", photo.times(stage))
        yield of_times(f"{photo.name}: all", photo.totals())
        yield Measure(f"{photo.name}: peak memory", photo.peak_mib, "MiB")
    if face:
        yield of_times(f"a face of {SIZE} pixels beside the network", face.totals())
    yield of_times("cold start", [start.seconds for start in cold.starts])
    yield of_times("cold start, CPU time", [start.cpu_seconds for start in cold.starts])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench endtoend`."""
    parser.add_argument("--package", help="folder or name of a package, in place of the bundled default")
    parser.add_argument("--megapixels", type=_sizes, help="of the photos: N[,N] (1,12,24,48)")
    parser.add_argument("--faces", type=counts, help="in a photo: N[,N] (1,5,29)")
    parser.add_argument("--runs", type=positive, help="of each photo (3)")
    parser.add_argument("--quick", action="store_true", help="fewer photos, once each")
    add_output(parser)
    parser.set_defaults(run=_run)


def _sizes(text: str) -> tuple[float, ...]:
    sizes = tuple(float(number) for number in text.split(","))
    if not all(0.1 <= size <= 100 for size in sizes):
        raise argparse.ArgumentTypeError("must be between 0.1 and 100")
    return sizes


def _run(options: argparse.Namespace) -> int:
    from bench.endtoend.chart import write_chart

    wanted = {name: getattr(options, name) for name in ("package", "megapixels", "faces", "runs")}
    given = {name: value for name, value in wanted.items() if value is not None}
    settings = EndToEndSettings(**((QUICK if options.quick else {}) | given))
    report = measured("endtoend", steps(settings), partial(measure, settings), options.output)
    write_chart(options.output / "endtoend.png", report)
    return command_line.DONE
