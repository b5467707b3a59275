"""The costs and gains of the latent loop's passes: time and accuracy by ε and N."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from base.decibels import decibels
from base.setting import Range, option
from bench.benchmark import Benchmark, Tick, model
from bench.report import Measure, Report, table
from engines.package import Manifest, open_package
from portraits.aligned import AlignedPortraits
from portraits.damage import Portrait
from portraits.degradations import degrade, named
from portraits.likeness import psnr
from portraits.reading import load_portraits, pictures_in
from runtime.faces.align import align
from runtime.faces.noise import face_noise
from runtime.finish.compose import compose
from runtime.network.backends import Backend, open_backend
from runtime.network.loop import SETTLED, restore_crops
from runtime.network.schedule import EPSILON, kappa
from runtime.pixels import Picture
from runtime.settings.settings import RestoreSettings

ETA = 0.1
"""η of the comparison: the largest, whose latent goes furthest."""
ITERATIONS = (10, 30)
EPSILONS = (1.0, 0.4, EPSILON, 0.1, 0.05)
"""ε = 1 is a single pass; each is compared with a pass for every step (ε → 0).

These do not stop early, so that the effect of ε is isolated; the product's schedule, which does, has its own
row.
"""
DEGRADATION = "training-range"


@dataclass(frozen=True)
class LoopSettings:
    """What the benchmark measures."""

    portraits: Path = option(None, "Folder of square, aligned portraits.", "PORTRAITS", nargs=None)
    package: str | None = model()
    first: int = option(0, "Number of the first portrait, by name.", range=Range(0))
    limit: int = option(12, "Largest number of portraits.", range=Range(1))


@dataclass(frozen=True)
class Schedule:
    """The figures of one pass threshold; means over portraits, unless named otherwise."""

    iterations: int
    epsilon: float
    """0: a pass for every step."""
    settles: bool
    """Whether the loop stops when the latent has converged, as in the product."""
    passes: float
    most_passes: int
    seconds: float
    """Per face; the median."""
    to_every_pass: float | None
    """PSNR in dB of the composed face against that with a pass for every step; None for that one."""
    worst_to_every_pass: float | None
    to_truth: float
    """PSNR of the composed face against the truth, in dB."""

    @property
    def name(self) -> str:
        """Return how a table calls it."""
        epsilon = f"{self.epsilon:g}" if self.epsilon else "a pass per step"
        return f"{self.iterations}, {epsilon}{' until it settles' if self.settles else ''}"


@dataclass(frozen=True, eq=False)
class Run:
    """One portrait's way through the loop."""

    passes: int
    seconds: float
    face: Picture
    """Composed, S×S×3 in [0, 1]."""
    to_truth: float
    to_every_pass: float = math.inf


def steps(settings: LoopSettings) -> int:
    """Return how many steps `measure` reports. Raises PhotoError."""
    return len(pictures_in(settings.portraits)[settings.first :][: settings.limit])


def measure(settings: LoopSettings, tick: Tick) -> Report:
    """Restore portraits one by one, each as a photo of its own.

    Raises PhotoError when there are no portraits, PackageError and BackendError.
    """
    package = open_package(settings.package, kind="face")
    size = package.manifest.size
    truths = load_portraits(settings.portraits, first=settings.first, limit=settings.limit, size=size)
    backend = open_backend("onnxruntime", package)
    runs: dict[tuple[int, float, bool], list[Run]] = {}
    for i, truth in enumerate(truths):
        loop = Loop(backend, truth, settings.first + i)
        if not i:
            loop.run(2, 0)  # opens every graph
        for iterations in ITERATIONS:
            every = loop.run(iterations, 0)
            for epsilon in EPSILONS:
                found = loop.run(iterations, epsilon, against=every.face)
                runs.setdefault((iterations, epsilon, False), []).append(found)
            found = loop.run(iterations, EPSILON, settled=SETTLED, against=every.face)
            runs.setdefault((iterations, EPSILON, True), []).append(found)
            runs.setdefault((iterations, 0.0, False), []).append(every)
        tick()
    backend.close()
    schedules = [_schedule(*key, found) for key, found in runs.items()]
    return loop_report(package.manifest, settings.first, len(truths), schedules)


class Loop:
    """A degraded portrait, ready for the loop."""

    def __init__(self, backend: Backend, truth: Portrait, number: int) -> None:
        (degradation,) = named((DEGRADATION,))
        self._backend, self._truth = backend, truth
        self._photo = degrade(truth, degradation, number)
        (face,) = AlignedPortraits().detect(self._photo)
        self._aligned = align(self._photo, face, len(truth))
        self._sigma = face_noise(self._photo, self._aligned)

    def run(
        self, iterations: int, epsilon: float, *, settled: float = 0.0, against: Picture | None = None
    ) -> Run:
        """Restore and compose the face.

        against  a face that it is compared with
        """
        settings = RestoreSettings(latent_step_decay=ETA, iterations=iterations, budget=math.inf)
        crops = self._aligned.crop[None]
        rho = np.ones(crops.shape[:3], np.float32)
        start = time.perf_counter()
        (loop,) = restore_crops(self._backend, crops, rho, settings, epsilon=epsilon, settled=settled)
        seconds = time.perf_counter() - start
        own = self._photo.astype(np.float32) / np.float32(255)
        composed = compose(own, loop.restored, kappa(ETA, rho[0], loop.steps), self._sigma)
        face = np.asarray(np.clip(composed, 0, 1), np.float32)
        to_truth = psnr(np.asarray(np.rint(255 * face), np.uint8), self._truth)
        error = 0.0 if against is None else float(np.mean((face.astype(np.float64) - against) ** 2))
        return Run(loop.passes, seconds, face, to_truth, decibels(error, 1))


def _schedule(iterations: int, epsilon: float, settles: bool, runs: Sequence[Run]) -> Schedule:
    near = [run.to_every_pass for run in runs]
    return Schedule(
        iterations,
        epsilon,
        settles,
        passes=float(np.mean([run.passes for run in runs])),
        most_passes=max(run.passes for run in runs),
        seconds=float(np.median([run.seconds for run in runs])),
        to_every_pass=_finite(float(np.mean(near))),
        worst_to_every_pass=_finite(min(near)),
        to_truth=float(np.mean([run.to_truth for run in runs])),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def loop_report(package: Manifest, first: int, count: int, schedules: list[Schedule]) -> Report:
    """Return the report of a package, measured on so many portraits from number `first` on."""
    (standard,) = (s for s in schedules if s.iterations == 30 and s.settles)
    return Report(
        name="loop",
        tables=(
            table(
                f"The latent loop of {package.name}, {package.loop_kind}: η = {ETA:g}, {count} portraits "
                "over the training ranges",
                schedules,
                {
                    "N, ε": lambda s: s.name,
                    "passes": lambda s: f"{s.passes:.2f}",
                    "ms a face": lambda s: f"{1000 * s.seconds:.0f}",
                    "dB to a pass per step": lambda s: _in_decibels(s.to_every_pass),
                    "at the least": lambda s: _in_decibels(s.worst_to_every_pass),
                    "dB to the truth": lambda s: f"{s.to_truth:.2f}",
                },
            ),
        ),
        summary=f"The product's 30 steps take {standard.passes:.2f} passes, {standard.most_passes} at most, "
        f"and end {_in_decibels(standard.worst_to_every_pass)} dB or more from a pass for every step.",
        figures={
            "loop": package.loop_kind,
            "degradation": DEGRADATION,
            "eta": ETA,
            "schedules": [asdict(schedule) for schedule in schedules],
        },
        measures=tuple(
            measure
            for s in schedules
            for measure in (
                Measure(f"N, ε = {s.name}: time a face", s.seconds, "s"),
                Measure(f"N, ε = {s.name}: nearness to the truth", s.to_truth, "dB", more_is_better=True),
            )
        ),
        conditions={"package": package.name, "portraits": count, "first": first},
    )


def _in_decibels(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f}"


def chart(figure: Figure, report: Report) -> None:
    """Draw nearness against time by ε."""
    axes = figure.subplots()
    schedules = report.figures["schedules"]
    for iterations in ITERATIONS:
        shown = [
            s
            for s in schedules
            if s["iterations"] == iterations and s["to_every_pass"] is not None and not s["settles"]
        ]
        times = [1000 * s["seconds"] for s in shown]
        (line,) = axes.plot(times, [s["to_every_pass"] for s in shown], "o-", label=f"N = {iterations}")
        for s, x in zip(shown, times, strict=True):
            axes.annotate(f"ε {s['epsilon']:g}", (x, s["to_every_pass"]), (4, 5), textcoords="offset points")
        whole = next(s for s in schedules if s["iterations"] == iterations and s["epsilon"] == 0)
        axes.axvline(
            1000 * whole["seconds"], color=line.get_color(), linestyle=":", label="its pass per step"
        )
    axes.set_xscale("log")
    axes.set_xlabel("ms a face")
    axes.set_ylabel("dB to a pass per step")
    axes.legend()
    axes.grid(alpha=0.3)


BENCHMARK = Benchmark(LoopSettings, steps, measure, chart)
