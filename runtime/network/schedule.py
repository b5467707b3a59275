"""When the latent loop needs a network pass, and how far it has progressed by then (design §4)."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from engines.package import Package
from runtime.pixels import Map

EPSILON = 0.2
"""ε: how much closer to its target the loop gets between two passes."""

MOST = 5
"""The largest number of passes that this ε allows."""

ROUNDING = 1e-9
"""Tolerance for rounding of powers; a step that reaches its threshold exactly still counts."""


@dataclass(frozen=True)
class PassSchedule:
    """The steps after which the network runs again."""

    times: tuple[int, ...]
    """t_j: the steps done before each pass; the first is 0."""

    steps: tuple[int, ...]
    """k_j: the steps made with each pass's result; their sum is N."""


def pass_schedule(
    eta: float, iterations: int, epsilon: float = EPSILON, most: int | None = None
) -> PassSchedule:
    """Plan the passes of a loop: one each time the loop has come ε closer to its target.

    t_{j+1} is the least t < N with (1−η)^{t_j} − (1−η)^t ≥ ε.

    eta         η, in (0, 1]
    iterations  N, at least 1
    epsilon     ε, in [0, 1]: 0 makes a pass for each step
    most        the largest number of passes: all further steps lead towards the last one's result
    """
    times = [0]
    for t in range(1, iterations):
        if len(times) == most:
            break
        if (1 - eta) ** times[-1] - (1 - eta) ** t >= epsilon - ROUNDING:
            times.append(t)
    steps = (after - t for t, after in itertools.pairwise([*times, iterations]))
    return PassSchedule(tuple(times), tuple(steps))


def most_passes_of(package: Package) -> int:
    """Return the largest number of passes with a package."""
    return 1 if package.manifest.holds_latent else MOST


def progress(eta: float, steps: int) -> float:
    """Return 1 − (1−η)^steps: the latent's progress towards its target, from 0 to 1."""
    return 1 - (1 - eta) ** steps


def iterations_for(eta: float, wanted: float) -> int:
    """Return how many steps reach a progress in (0, 1)."""
    if eta == 1:
        return 1
    return math.ceil(math.log(1 - wanted) / math.log(1 - eta) - ROUNDING)


def gain(eta_rho: Map, steps: int) -> Map:
    """Return 1 − (1−ηρ)^k, in [0, 1]: how far k steps towards a fixed picture move each pixel.

    Where ηρ exceeds 1, a step goes exactly to the picture.
    """
    return 1 - np.maximum(1 - eta_rho, 0) ** steps


def kappa(eta: float, rho: Map, steps: int) -> Map:
    """Return κ = (1−ηρ)^steps, in [0, 1]: the share of the original photo in each pixel."""
    return np.asarray(np.clip(1 - eta * rho, 0, 1) ** steps, np.float32)
