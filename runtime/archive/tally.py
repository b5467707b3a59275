"""What a run has done so far, in an actor of its own, and the worker's way to it."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray

from runtime.archive.progress import Counts
from runtime.archive.status import Row


class TallyKeeper:
    """Counts photos, and remembers those that are begun. Its methods are called from all machines."""

    def __init__(self) -> None:
        self._done = self._failed = self._faces = 0
        self._begun: Counter[str] = Counter()

    def crashes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how often each of these photos was begun and not ended."""
        return {path: self._begun[path] for path in paths if path in self._begun}

    def begin(self, path: str) -> None:
        """Note that a photo is begun."""
        self._begun[path] += 1

    def end(self, path: str, failed: bool, faces: int) -> None:
        """Note that a photo has ended."""
        self._begun.pop(path, None)
        self._done += 1
        self._failed += failed
        self._faces += faces

    def counts(self) -> Counts:
        """Return how far the run is. Photos that were repeated after a crash count twice."""
        return Counts(self._done, self._failed, self._faces)


@dataclass(frozen=True)
class RemoteTally:
    """A worker's way to the tally. If the tally is gone, the work goes on without it."""

    actor: Any
    """The handle of a TallyKeeper."""

    def crashes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how often the process ended while it worked on each of these photos; not those at 0."""
        with suppress(ray.exceptions.RayError):
            return dict(ray.get(self.actor.crashes.remote(list(paths))))
        return {}

    def begin(self, path: str) -> None:
        """Note that a photo is begun, before any of its bytes are read."""
        with suppress(ray.exceptions.RayError):
            ray.get(self.actor.begin.remote(path))

    def end(self, row: Row) -> None:
        """Note what became of a photo."""
        with suppress(ray.exceptions.RayError):
            self.actor.end.remote(row["path"], row["outcome"] == "failed", row.get("faces") or 0)
