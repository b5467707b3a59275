"""How far a build is, from the nested phases that TensorRT reports."""

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
    """The open phases of a build, the innermost last. Called from any of the builder's threads."""

    def __init__(self, told: Callable[[str, float], None]) -> None:
        """Tell `told` the innermost phase and the share done, 0 … 1, whenever something has changed."""
        self._told, self._open, self._lock = told, list[_Phase](), threading.Lock()
        self._share = 0.0

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """Note that a phase of so many steps begins, within its parent."""
        with self._lock:
            self._open.append(_Phase(phase, parent, max(steps, 1)))
            self._tell()

    def step(self, phase: str, step: int) -> None:
        """Note that a phase has done its steps 0 … `step`."""
        with self._lock:
            for entry in reversed(self._open):
                if entry.name == phase:
                    entry.done = min(step + 1, entry.steps)
                    break
            self._tell()

    def finish(self, phase: str) -> None:
        """Note that a phase is over; steps that it left out count as done."""
        with self._lock:
            for index in range(len(self._open) - 1, -1, -1):
                if self._open[index].name == phase:
                    del self._open[index]
                    break
            self._tell()

    def _tell(self) -> None:
        if not self._open:
            return
        share = 0.0
        for entry in reversed(self._open):
            share = min((entry.done + share) / entry.steps, 1.0)
        # Phases come and go beside each other: the share never goes back for that.
        self._share = max(self._share, share)
        self._told(self._open[-1].name, self._share)
