"""The progress of an archive's run on standard error: a bar on a terminal, else a line from time to time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from base.text import rounded
from runtime.archive.estimate import written_time
from runtime.commands.batch import show


@dataclass(frozen=True)
class Counts:
    """How far a run is."""

    done: int
    failed: int
    faces: int


Report = Callable[[Counts], None]
"""Called at intervals with the progress of a run."""

EVERY = 60.0
"""Seconds between two lines."""
RECENT = 300.0
"""Seconds over which the speed is measured, so that it follows a growing cluster."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Report]:
    """Yield a function that shows the progress of a run, with its speed and the time left."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}"),
    )
    speed, shown = Speed(total), time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total, rest="")

        def report(counts: Counts) -> None:
            nonlocal shown
            now = time.monotonic()
            rest = speed.sentence(now, counts)
            bar.update(task, completed=counts.done, rest=rest)
            if bar.disable and now - shown >= EVERY:
                shown = now
                show(f"{what}: {counts.done} of {total} photos{rest and f', {rest}'}")

        yield report


class Speed:
    """Measures how many photos a second are done."""

    def __init__(self, total: int) -> None:
        """Begin.

        total  the number of photos; a continued run does fewer
        """
        self._total = total
        self._seen: list[tuple[float, int]] = []

    def sentence(self, now: float, counts: Counts) -> str:
        """Return the speed and the time left; empty while nothing is done.

        now  seconds of a clock
        """
        if not counts.done:
            return ""
        self._seen.append((now, counts.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > RECENT:
            del self._seen[0]
        (begin, before), (end, done) = self._seen[0], self._seen[-1]
        failed = f", {counts.failed} failed" if counts.failed else ""
        if done == before:
            return failed.removeprefix(", ")
        rate = (done - before) / (end - begin)
        left = written_time(max(0, self._total - done) / rate)
        return f"{rounded(rate, 3)} photos a second, {left} left{failed}"
