"""The latent-decay loop: from crops to the prior's restoration of them (design §4)."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.parallel import parallel
from runtime.network.backends import Backend, Batch, BatchLostError, Move, RestoresSideBySide
from runtime.network.degrade import degrade
from runtime.network.schedule import EPSILON, PassSchedule, gain, kappa, pass_schedule, progress
from runtime.pixels import Crop, Crops, Map, ramp
from runtime.settings.settings import RestoreSettings

SETTLED = 1e-3
"""A latent whose relative change is below this has converged.

So has a renewed estimate whose RMS change is below this share of the pixel range, a quarter of an 8-bit
level: the next pass would get the same picture.
"""

AT_REST, DRAWING = 0.004, 0.006
"""RMS of the last change of a renewed estimate, as a share of the pixel range. Up to the first, the face has
nearly arrived, and the last picture is the result: it is sharper than r̄, which holds some of the first
pass's, an average, and in portraits with slight damage up to 0.1 dB closer to the truth. From the second on,
passes go on drawing, as in portraits with moderate blur, or strong noise; there the last picture alone loses
up to 0.3 dB.
"""

CELLS = 16
"""Parts of a crop's side whose mean colours are its broad shapes, which even a badly blurred photo shows."""
INNER = slice(4, 14), slice(4, 12)
"""The rows and columns of these that the face lies in."""
ASTRAY = 1.5
"""How many times as far from the crop as the first pass later ones may move a face's broad shapes."""
SLACK = 0.003
"""The same as a difference, as a share of the pixel range; both must be exceeded."""

LEAST = np.float32(1e-3)
"""1 − κ below which a renewed estimate is too close to the crop to recover what it was moved towards."""


@dataclass(frozen=True, eq=False)
class LoopResult:
    """The result for one crop."""

    restored: NDArray[np.float32]
    """S×S×3 in [0, 1]: r of the last pass; in the renewed loop the weighted mean r̄ of all passes, unless the
    estimate has nearly arrived."""
    passes: int
    """Number of network passes."""
    steps: int
    """Iterations done: as many as requested, unless the time budget ran out."""
    changes: tuple[float, ...]
    """Relative change after each pass but the last: of the latent; in the renewed loop, of the estimate."""
    renewed: bool
    """Whether each pass encoded the current estimate."""
    over_budget: bool
    new_eyes: float = 0.0
    """How far its eyes were drawn again, 0 to 1; see `runtime/network/eyes.py`."""


def restore_crops(
    backend: Backend,
    crops: Crops,
    rho: NDArray[np.float32],
    settings: RestoreSettings,
    *,
    epsilon: float = EPSILON,
    most: int | None = None,
    settled: float = SETTLED,
    done: Callable[[int], object] = lambda count: None,
) -> list[LoopResult]:
    """Restore crops, in batches that the backend accepts.

    rho      B×S×S, the region weights ρ: how fast each pixel of the estimate moves
    epsilon  ε, the pass threshold; 0 makes a pass for each step
    most     the largest number of passes
    settled  the change below which a latent or a renewed estimate has converged; 0 never stops early
    done     called after each batch with its number of crops
    """
    backend, threads = (
        backend.for_group(len(crops)) if isinstance(backend, RestoresSideBySide) else (backend, 1)
    )
    # Batches that are restored side by side share the processor, and so each other's time.
    budget = settings.budget * threads
    schedule = pass_schedule(settings.latent_step_decay, settings.iterations, epsilon, most)

    def restore(part: slice) -> list[LoopResult]:
        return _restore_batch(backend, crops[part], rho[part], settings, budget, schedule, settled)

    results: list[LoopResult] = []
    if threads > 1:
        size = backend.max_batch
        parts = [slice(first, first + size) for first in range(0, len(crops), size)]
        with closing(parallel(restore, parts, threads)) as batches:
            for batch in batches:
                results += batch
                done(len(batch))
    while len(results) < len(crops):
        with suppress(BatchLostError):
            batch = restore(slice(len(results), len(results) + backend.max_batch))
            results += batch
            done(len(batch))
    return results


def _restore_batch(
    backend: Backend,
    crops: Crops,
    rho: NDArray[np.float32],
    settings: RestoreSettings,
    budget: float,
    schedule: PassSchedule,
    settled: float,
) -> list[LoopResult]:
    eta = settings.latent_step_decay
    deadline = time.perf_counter() + budget * len(crops)
    degraded = np.stack([degrade(crop, settings.degradation_scale) for crop in crops])
    lengths = sorted(set(schedule.steps[:-1]))  # after the last pass nothing is moved
    moves = [Move(gain(eta * rho, k)[:, None], progress(eta, k)) for k in lengths]
    state = backend.encode(_to_network(degraded), moves)
    try:
        batch = _Batch(backend, state, degraded, rho, eta, schedule.steps, lengths)
        return _make_passes(batch, deadline, settled)
    finally:
        backend.release(state)


@dataclass(frozen=True, eq=False)
class _Batch:
    backend: Backend
    state: Any
    start: Crops
    """u₀"""
    rho: NDArray[np.float32]
    eta: float
    stretches: tuple[int, ...]
    """Number of steps after each pass."""
    lengths: Sequence[int]
    """The step counts that the state's moves stand for."""

    def move(self, steps: int) -> NDArray[np.float32]:
        """Make steps towards r; return the relative change, B."""
        return self.backend.step(self.state, self.lengths.index(steps))

    def kappa(self, steps: int) -> Map:
        """Return the share of u₀ that remains after that many steps, B×S×S×1."""
        return kappa(self.eta, self.rho, steps)[..., None]

    def result(
        self,
        i: int,
        pictures: Crops,
        first: Crops | None,
        passes: int,
        steps: int,
        changes: Sequence[NDArray[np.float32]],
        *,
        over_budget: bool = False,
    ) -> LoopResult:
        """Return the result of the crop with that index.

        first  what the first pass made of the crops, the result where later ones led astray; None if later
               ones always count
        """
        picture, change = pictures[i], tuple(float(change[i]) for change in changes)
        if first is not None and passes > 1 and _astray(self.start[i], first[i], picture):
            picture, passes, change = first[i], 1, ()
        return LoopResult(np.clip(picture, 0, 1), passes, steps, change, self.backend.renews, over_budget)


def _make_passes(batch: _Batch, deadline: float, settled: float) -> list[LoopResult]:
    """Make the scheduled passes until all crops converge or time runs out."""
    backend, stretches, over_budget = batch.backend, batch.stretches, False
    changes: list[NDArray[np.float32]] = []
    arrived: dict[int, LoopResult] = {}
    backend.generate(batch.state)
    first = _from_network(backend.restored(batch.state)) if backend.renews and len(stretches) > 1 else None
    passes, pass_seconds = 1, 0.0
    for k in stretches[:-1]:
        start = time.perf_counter()
        if start + pass_seconds > deadline:
            stretches, over_budget = stretches[:passes], True
            break
        changes.append(batch.move(k))
        now = {i for i, change in enumerate(changes[-1]) if change < settled} - arrived.keys()
        if len(arrived) + len(now) == len(changes[-1]):
            break
        if now and backend.renews:  # in a batch, a crop stops where it would stop alone
            steps = sum(stretches)
            pictures = _end(batch, first, passes, changes, steps)
            arrived |= {i: batch.result(i, pictures, first, passes, steps, changes) for i in now}
        backend.generate(batch.state)
        passes += 1
        pass_seconds = time.perf_counter() - start
    steps = sum(stretches)
    pictures = _end(batch, first, passes, changes, steps)
    return [
        arrived.get(i) or batch.result(i, pictures, first, passes, steps, changes, over_budget=over_budget)
        for i in range(len(batch.start))
    ]


def _end(
    batch: _Batch, first: Crops | None, passes: int, changes: Sequence[NDArray[np.float32]], steps: int
) -> Crops:
    """Return r, or what the renewed loop ends with when all further steps lead towards the last r.

    first    what the first pass made of the crops, if the loop is a renewed one of several passes
    changes  of each move of the estimate, B each
    steps    the number of steps in all
    """
    restored = _from_network(batch.backend.restored(batch.state))
    if first is None or passes == 1:
        return restored
    left = batch.kappa(steps)
    if passes == 2:
        # Each picture counts for the share of the way that it begins. Further steps would leave nearly
        # nothing of the first, the average of what the face may be. After many passes that gives sharpness;
        # the second alone is little sharper, and in badly damaged portraits up to 0.2 dB farther from the
        # truth.
        seen = batch.kappa(batch.stretches[0])
        estimate = left * batch.start + (1 - seen) * first + (seen - left) * restored
    else:
        to_go = steps - sum(batch.stretches[: len(changes)])
        moved = _from_network(batch.backend.estimate(batch.state))
        estimate = restored + (1 - gain(batch.eta * batch.rho, to_go)[..., None]) * (moved - restored)
    own = own_part(estimate, batch.start, left)
    arrived = 1 - ramp(np.asarray(changes[-1], np.float32), AT_REST, DRAWING)[:, None, None, None]
    return np.asarray(own + arrived * (restored - own), np.float32)


def _astray(crop: Crop, first: Crop, last: Crop) -> bool:
    """Return whether later passes led the broad shapes of a face away from its crop.

    With faces unlike those of its training, a network can fade in each pass what the one before drew. In
    others, later passes keep to those shapes as well as the first.
    """
    before, after = (_shapes_apart(crop, picture) for picture in (first, last))
    return after > max(ASTRAY * before, before + SLACK)


def _shapes_apart(a: Crop, b: Crop) -> float:
    """Return the RMS difference of two faces' broad shapes."""
    means = cv2.resize(b - a, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return math.sqrt(np.square(cv2.GaussianBlur(means, (0, 0), 0.5)[INNER]).mean())


def own_part(estimate: Crops, start: Crops, kappa: Map) -> Crops:
    """Return r̄ = (u − κ u₀) / (1 − κ): the weighted mean of the pictures that u was moved towards.

    Where κ is 1 nothing moved, and r̄ is u₀. As 1 − κ falls below LEAST, r̄ approaches u₀, so that the
    rounding of u is not magnified without limit.

    estimate, start  u and u₀, B×S×S×3
    kappa            κ, B×S×S×1 in [0, 1]
    """
    return np.asarray(start + (estimate - start) / np.maximum(1 - kappa, LEAST), np.float32)


def _to_network(crops: Crops) -> Batch:
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2) * 2 - 1)


def _from_network(batch: Batch) -> Crops:
    return np.asarray((batch.transpose(0, 2, 3, 1) + 1) / 2, np.float32)
