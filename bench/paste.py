"""Whether pasting a face costs the same in a small photo and in a large one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from base.setting import Range, option
from bench import timing
from bench.benchmark import Benchmark, Tick
from bench.report import Report, counted, of_times, table
from runtime.faces.align import TEMPLATES, align
from runtime.faces.face import Face
from runtime.finish.paste import paste_all
from runtime.pixels import Pixels

CANVASES = {"2 megapixels": (1250, 1600), "48 megapixels": (6000, 8000)}
"""Heights and widths."""
SIZE, WIDTH = 512, 800
"""S of the crop, and the side in pixels of the square that it covers in the photo."""
ALLOWED = 0.2
"""Share by which the large canvas may differ from the small one."""


@dataclass(frozen=True)
class PasteSettings:
    """How often a face is pasted."""

    runs: int = option(15, "Number of runs with each photo, in turns.", range=Range(1))


def steps(settings: PasteSettings) -> int:
    """Return how many steps `measure` reports."""
    return len(CANVASES) * (settings.runs + 1)


def measure(settings: PasteSettings, tick: Tick) -> Report:
    """Cut the same face out of both canvases and paste it back, in turns."""
    rng = np.random.default_rng(0)
    works = {name: _work(rng.integers(0, 256, (*size, 3), np.uint8)) for name, size in CANVASES.items()}
    seconds = timing.in_turns(works, settings.runs, tick)
    small, large = map(timing.median, seconds.values())
    ratio = large / small
    within = abs(ratio - 1) <= ALLOWED
    milliseconds = {
        "photo": lambda name: name,
        "median ms": lambda name: f"{1e3 * timing.median(seconds[name]):.1f}",
        "95 % ms": lambda name: f"{1e3 * timing.p95(seconds[name]):.1f}",
    }
    rows = [
        {"photo": name, "height": CANVASES[name][0], "width": CANVASES[name][1], **timing.figures(times)}
        for name, times in seconds.items()
    ]
    return Report(
        name="paste",
        tables=(
            table(
                f"A face of {WIDTH} pixels cut out and pasted back, {counted(settings.runs, 'run')}",
                seconds,
                milliseconds,
            ),
        ),
        summary=f"The large photo takes {ratio:.2f} times as long as the small one: "
        f"{'within' if within else 'not within'} {ALLOWED:.0%}.",
        figures={
            "runs": settings.runs,
            "rows": rows,
            "ratio": ratio,
            "allowed": ALLOWED,
            "within": within,
        },
        measures=tuple(of_times(name, times) for name, times in seconds.items()),
        conditions={"size": SIZE, "width": WIDTH},
        timed=True,
    )


def _work(canvas: Pixels) -> Callable[[], None]:
    height, width = canvas.shape[:2]
    landmarks = (TEMPLATES["published"] - 0.5) * WIDTH + (width / 2, height / 2)
    face = Face((0.0, 0.0, float(width), float(height)), landmarks.astype(np.float32), 1.0)

    def work() -> None:
        aligned = align(canvas, face, SIZE)
        paste_all(canvas, [(aligned, aligned.crop)])

    return work


BENCHMARK = Benchmark(PasteSettings, steps, measure)
