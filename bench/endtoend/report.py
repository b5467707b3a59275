"""The report on whole photos: where their time goes, and the targets."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, get_args

from matplotlib.figure import Figure

from bench import claims
from bench.claims import Claim, claims_table
from bench.endtoend.process import CommandRun
from bench.report import Measure, Report, counted, of_times, table
from bench.timing import median
from runtime.restorer import Restorer
from runtime.timing import Stage

DETECTION, SEARCHED_ONCE = 12, 5
"""Megapixels, and largest number of faces, of the photos whose detection is judged. More faces are smaller,
and are searched for in a finer copy too."""
DETECTION_MS, START_S = 150.0, 2.5
"""Targets on two cores: a detection, a cold start."""
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In order of execution; stages that a run does not have are left out."""


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
    """Peak memory of a process that only restores this photo."""

    @property
    def name(self) -> str:
        """Return which photo it is."""
        return f"{self.megapixels:g} MP, {counted(self.faces, 'face')}"

    @property
    def is_judged(self) -> bool:
        """Return whether a claim is made about its detection."""
        return self.megapixels == DETECTION and self.faces <= SEARCHED_ONCE

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
class WholePhoto:
    """A photo with one face, restored with all that lies around it."""

    megapixels: float
    runs: tuple[PhotoRun, ...]
    rest: dict[str, list[float]]
    """Seconds for what lies around the face alone, by what restores it."""

    def times(self) -> dict[str, list[float]]:
        """Return the seconds of each run, of the whole and of ways for the rest."""
        totals = [sum(run.stages.values()) for run in self.runs]
        return {"with --scope photo, from file to file": totals} | {
            f"the rest alone: {way}": seconds for way, seconds in self.rest.items()
        }


def endtoend_report(
    restorer: Restorer, photos: list[PhotoTimes], starts: list[CommandRun], whole: WholePhoto
) -> Report:
    """Return the report of some photos and of cold starts of the command."""
    package, backend = restorer.package.manifest.name, restorer.backend
    judged = _claims(photos, starts)
    stages = [stage for stage in STAGES if stage in photos[0].runs[0].stages]
    runs = len(starts)
    return Report(
        name="endtoend",
        tables=(
            table(
                f"Photos from file to file with {package} on {backend.device}, {counted(runs, 'run')}",
                photos,
                {
                    "photo": lambda photo: photo.name,
                    "faces found": lambda photo: f"{photo.runs[0].found}",
                    "passes": lambda photo: f"{photo.runs[0].passes}",
                    "ms": lambda photo: f"{1e3 * median(photo.totals()):.0f}",
                    "CPU ms": lambda photo: f"{1e3 * photo.cpu():.0f}",
                    "peak MiB": lambda photo: f"{photo.peak_mib:.0f}",
                },
            ),
            table(
                "By stage, ms",
                photos,
                {"photo": lambda photo: photo.name} | {stage: _stage_cell(stage) for stage in stages},
            ),
            table(
                f"A photo of {whole.megapixels:g} megapixels with 1 face as a whole",
                times := whole.times(),
                {"by": str, "ms": lambda name: f"{1e3 * median(times[name]):.0f}"},
            ),
            claims_table("Targets, on two otherwise idle cores", judged),
        ),
        summary=f"{_how_fast(photos, starts)} {claims.held(judged)}.",
        figures={
            "runs": runs,
            "stages": stages,
            "photos": [_figures(photo) for photo in photos],
            "whole_photo": asdict(whole),
            "cold_start": {"starts": [asdict(start) for start in starts]},
            "claims": claims.figures(judged),
        },
        measures=(
            *_measures(photos, stages, starts),
            *(of_times(f"whole photo, {way}", seconds) for way, seconds in times.items()),
        ),
        conditions={"package": package, "backend": backend.name, "device": backend.device},
        timed=True,
    )


def _how_fast(photos: list[PhotoTimes], starts: list[CommandRun]) -> str:
    """Return a sentence about the time of a photo on this machine: the largest with the fewest faces."""
    photo = max(photos, key=lambda photo: (photo.megapixels, -photo.faces))
    seconds, start = median(photo.totals()), median([run.seconds for run in starts])
    return (
        f"A photo of {photo.megapixels:g} megapixels with {counted(photo.faces, 'face')} takes "
        f"{seconds:.1f} s here, from file to file; the command alone, for a small photo, {start:.1f} s."
    )


def _claims(photos: list[PhotoTimes], starts: list[CommandRun]) -> tuple[Claim, ...]:
    detections = [(1e3 * median(photo.times("detect")), photo.name) for photo in photos if photo.is_judged]
    return (
        Claim(
            f"detection in {DETECTION} megapixels with up to {SEARCHED_ONCE} faces, ms",
            DETECTION_MS,
            max(detections, default=None),
            at_most=True,
        ),
        Claim(
            "cold start to the first result, s",
            START_S,
            (median([start.seconds for start in starts]), ""),
            at_most=True,
        ),
    )


def _stage_cell(stage: str) -> Any:
    return lambda photo: f"{1e3 * median(photo.times(stage)):.0f}"


def _figures(photo: PhotoTimes) -> dict[str, Any]:
    return asdict(photo) | {
        "name": photo.name,
        "median_s": {stage: median(photo.times(stage)) for stage in photo.runs[0].stages},
        "total_s": median(photo.totals()),
        "cpu_s": photo.cpu(),
    }


def _measures(photos: list[PhotoTimes], stages: Iterable[str], starts: list[CommandRun]) -> Iterable[Measure]:
    for photo in photos:
        for stage in stages:
            yield of_times(f"{photo.name}: {stage}", photo.times(stage))
        yield of_times(f"{photo.name}: all", photo.totals())
        yield Measure(f"{photo.name}: peak memory", photo.peak_mib, "MiB")
    yield of_times("cold start", [start.seconds for start in starts])
    yield of_times("cold start, CPU time", [start.cpu_seconds for start in starts])


def chart(figure: Figure, report: Report) -> None:
    """Draw the stages of each photo, stacked: their seconds, and their shares."""
    photos, stages = report.figures["photos"], report.figures["stages"]
    names = [photo["name"] for photo in photos]
    figure.set_size_inches(12, 1.8 + 0.32 * len(names))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, share in ((left, False), (right, True)):
        start = [0.0] * len(names)
        for stage in stages:
            widths = [
                photo["median_s"][stage] / (sum(photo["median_s"].values()) if share else 1)
                for photo in photos
            ]
            axes.barh(names, widths, left=start, label=stage)
            start = [a + b for a, b in zip(start, widths, strict=True)]
        axes.grid(axis="x", alpha=0.3)
    left.invert_yaxis()
    left.set_xlabel("seconds")
    right.set_xlabel("share")
    right.set_xlim(0, 1)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(stages), loc="outside lower center")
