"""The tally of a run: an actor that counts what is done, and the handle through which workers reach it."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray

from runtime.archive.progress import Counts
from runtime.archive.status import Row


class TallyKeeper:
    """Counts photos and remembers those that were begun. All machines call its methods."""

    def __init__(self) -> None:
        self._done = self._failed = self._faces = 0
        self._begun: Counter[str] = Counter()

    def crashes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how often each of these photos was begun but not finished."""
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
        """Return the run's progress. Photos that were repeated after a crash count twice."""
        return Counts(self._done, self._failed, self._faces)


@dataclass(frozen=True)
class RemoteTally:
    """A worker's handle on the tally. If the tally is lost, work continues without it."""

    actor: Any
    """The handle of a TallyKeeper."""

    def crashes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how many times the process crashed during each of these photos; those without a crash are
        left out."""
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
