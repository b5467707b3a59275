"""Timing several ways of doing the same thing, so that the machine's moods meet them all alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Ratio:
    """How many times as long the baseline takes, over the pairs of neighbouring runs."""

    median: float
    lowest: float
    highest: float


def interleaved(
    works: Mapping[Name, Callable[[], object]], runs: int, tick: Callable[[], None]
) -> dict[Name, list[float]]:
    """Time every work `runs` times, in turns, after a turn to warm up; return seconds.

    tick  called after each run, (runs + 1) × works times
    """
    seconds: dict[Name, list[float]] = {name: [] for name in works}
    for _ in range(runs + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
            tick()
    return {name: times[1:] for name, times in seconds.items()}


def median(seconds: list[float]) -> float:
    """Return the median."""
    return float(np.median(seconds))


def p95(seconds: list[float]) -> float:
    """Return the time that 95 of 100 runs stay below."""
    return float(np.percentile(seconds, 95))


def ratio(baseline: list[float], seconds: list[float]) -> Ratio:
    """Compare runs with those of the baseline, pair by pair."""
    pairs = np.divide(baseline, seconds)
    return Ratio(float(np.median(pairs)), float(pairs.min()), float(pairs.max()))
