"""The progress of a build, computed from the nested phases that TensorRT reports."""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Phase:
    name: str
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The open phases of a build, innermost last. Called from any of the builder's threads."""

    def __init__(self, report: Callable[[str, float], None]) -> None:
        """Call `report` with the innermost phase and the share done, 0 … 1, after every change."""
        self._report, self._open, self._lock = report, list[_Phase](), threading.Lock()
        self._share = 0.0

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """Record the start of a phase with that many steps, within its parent."""
        with self._lock:
            self._open.append(_Phase(phase, parent, max(steps, 1)))
            self._notify()

    def step(self, phase: str, step: int) -> None:
        """Record that a phase has done its steps 0 … `step`."""
        with self._lock:
            for entry in reversed(self._open):
                if entry.name == phase:
                    entry.done = min(step + 1, entry.steps)
                    break
            self._notify()

    def finish(self, phase: str) -> None:
        """Record the end of a phase; steps that it skipped count as done."""
        with self._lock:
            for index in range(len(self._open) - 1, -1, -1):
                if self._open[index].name == phase:
                    del self._open[index]
                    break
            self._notify()

    def _notify(self) -> None:
        if not self._open:
            return
        share = 0.0
        for entry in reversed(self._open):
            share = min((entry.done + share) / entry.steps, 1.0)
        # Parallel phases come and go; the share must never decrease.
        self._share = max(self._share, share)
        self._report(self._open[-1].name, self._share)
