"""Time several ways of doing the same thing in turns, so that a busy moment affects all of them equally."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Name = TypeVar("Name", bound=str)

ENOUGH = 1.1
"""Fewer threads are preferred if they take at most this many times the shortest time."""


@dataclass(frozen=True)
class Ratio:
    """How many times as long the baseline takes, over the pairs of neighbouring runs."""

    median: float
    lowest: float
    highest: float


def in_turns(
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


def threads_that_pay(time_with: Callable[[int], float], most: int) -> int:
    """Return the smallest number of threads whose time is within 10 % of the shortest; on a busy machine, few
    threads are faster.

    time_with  returns the seconds that a piece of work takes with so many threads
    most       of 1, 2, 4, … that are tried
    """
    counts: list[int] = [*(2**i for i in range(most.bit_length()) if 2**i < most), most]
    seconds = {count: time_with(count) for count in counts}
    return next(count for count in counts if seconds[count] <= ENOUGH * min(seconds.values()))


def median(seconds: list[float]) -> float:
    """Return the median."""
    return float(np.median(seconds))


def p95(seconds: list[float]) -> float:
    """Return the time that 95 of 100 runs stay below."""
    return float(np.percentile(seconds, 95))


def figures(seconds: list[float]) -> dict[str, Any]:
    """Return runs in the form of a result file."""
    return {"median_s": median(seconds), "p95_s": p95(seconds), "times_s": seconds}


def ratio(baseline: list[float], seconds: list[float]) -> Ratio:
    """Compare runs with those of the baseline, pair by pair."""
    pairs = np.divide(baseline, seconds)
    return Ratio(float(np.median(pairs)), float(pairs.min()), float(pairs.max()))
