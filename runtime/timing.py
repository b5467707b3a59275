"""The stages of a restoration: their durations and their progress."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal[
    "read",
    "detect",
    "mesh",
    "align",
    "parsing",
    "tone",
    "regions",
    "scratches",
    "clean",
    "network",
    "photo",
    "paste",
    "identity",
    "write",
]
"""In order of execution; a run has only the stages that it needs."""

Progress: TypeAlias = Callable[[Stage, int, int], None]
"""Called with a stage, the number of faces done and the total (of rows, in the stage `photo`); may raise to
cancel."""


@contextmanager
def timed(timings: dict[str, float], stage: Stage) -> Iterator[None]:
    """Record how many milliseconds the block takes under the name of its stage."""
    start = time.perf_counter()
    yield
    timings[stage] = (time.perf_counter() - start) * 1000


class StageClock:
    """Times the stages of one restoration and reports their progress."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.timings: dict[str, float] = {}
        """Milliseconds by stage."""
        self._progress = progress

    @contextmanager
    def stage(self, stage: Stage, total: int = 1) -> Iterator[Callable[[int], None]]:
        """Time a block and report its start and end; yield a function that reports further finished faces."""
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done = min(total, done + count)
            if self._progress and total:
                self._progress(stage, done, total)

        advance(0)
        with timed(self.timings, stage):
            yield advance
        if done < total:
            advance(total - done)
