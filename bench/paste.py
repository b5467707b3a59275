"""Whether pasting a face costs the same in a small photo and in a large one."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from base import command_line
from bench import timing
from bench.measure import of_times
from bench.options import add_output, positive
from bench.report import Report, measured
from runtime.faces.align import TEMPLATES, Pixels, align
from runtime.faces.face import Face
from runtime.finish.paste import paste_all

CANVASES = {"2 megapixels": (1250, 1600), "48 megapixels": (6000, 8000)}
"""Heights and widths."""
ALLOWED = 0.2
"""Share by which the large canvas may differ from the small one."""


@dataclass(frozen=True)
class PasteSettings:
    """What is pasted, and how often."""

    size: int = 512
    """S of the crop."""
    width: int = 800
    """Of the square that the crop covers in the photo, in its pixels."""
    runs: int = 15


def steps(settings: PasteSettings) -> int:
    """Return how often `measure` ticks."""
    return len(CANVASES) * (settings.runs + 1)


def measure(settings: PasteSettings, tick: Callable[[], None]) -> Report:
    """Cut the same face out of both canvases and paste it back, in turns."""
    canvases = {name: _canvas(*shape) for name, shape in CANVASES.items()}
    works = {name: _work(canvas, settings) for name, canvas in canvases.items()}
    seconds = timing.interleaved(works, settings.runs, tick)
    small, large = seconds.values()
    ratio = timing.median(large) / timing.median(small)
    within = abs(ratio - 1) <= ALLOWED
    return Report(
        name="paste",
        title=f"A face of {settings.width} pixels cut out and pasted back, {settings.runs} runs",
        headings=("photo", "median ms", "95 % ms"),
        rows=tuple(
            (name, f"{1e3 * timing.median(times):.1f}", f"{1e3 * timing.p95(times):.1f}")
            for name, times in seconds.items()
        ),
        summary=f"The large photo takes {ratio:.2f} times as long as the small one: "
        f"{'within' if within else 'not within'} {ALLOWED:.0%}.",
        figures={
            "size": settings.size,
            "width": settings.width,
            "runs": settings.runs,
            "rows": [
                {
                    "photo": name,
                    "height": CANVASES[name][0],
                    "width": CANVASES[name][1],
                    "median_s": timing.median(times),
                    "p95_s": timing.p95(times),
                    "times_s": times,
                }
                for name, times in seconds.items()
            ],
            "ratio": ratio,
            "allowed": ALLOWED,
            "within": within,
        },
        measures=tuple(of_times(name, times) for name, times in seconds.items()),
        conditions={"size": settings.size, "width": settings.width},
    )


def _canvas(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _work(canvas: Pixels, settings: PasteSettings) -> Callable[[], None]:
    height, width = canvas.shape[:2]
    landmarks = (TEMPLATES["published"] - 0.5) * settings.width + (width / 2, height / 2)
    face = Face((0.0, 0.0, float(width), float(height)), landmarks.astype(np.float32), 1.0)

    def work() -> None:
        aligned = align(canvas, face, settings.size)
        paste_all(canvas, [(aligned, aligned.crop)])

    return work


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench paste`."""
    parser.add_argument("--runs", type=positive, default=15, help="with each photo, in turns (15)")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = PasteSettings(runs=options.runs)
    measured("paste", steps(settings), partial(measure, settings), options.output)
    return command_line.DONE
