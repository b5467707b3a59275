"""The latent-decay loop: from crops to what the prior makes of them (design §4)."""

import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.backends import Backend, Batch, BatchLostError, Move
from runtime.degrade import degrade
from runtime.schedule import EPSILON, gain, pass_schedule, progress
from runtime.settings import RestoreSettings

Crops = NDArray[np.float32]
"""B×S×S×3, RGB in [0, 1]."""

SETTLED = 1e-3
"""A latent that is changed by less than this, relatively, has arrived."""


@dataclass(frozen=True, eq=False)
class LoopResult:
    """What came of one crop."""

    restored: NDArray[np.float32]
    """S×S×3 in [0, 1]: r of the last pass."""
    passes: int
    """Evaluations of the network."""
    steps: int
    """Iterations done: all that were asked for, unless the budget was exceeded."""
    changes: tuple[float, ...]
    """Relative change of the latent after each pass but the last."""
    over_budget: bool
    first_latent: NDArray[np.float32]
    """z₀, D: what the encoder said of the degraded crop."""


def restore_crops(
    backend: Backend,
    crops: Crops,
    rho: NDArray[np.float32],
    settings: RestoreSettings,
    *,
    epsilon: float = EPSILON,
    settled: float = SETTLED,
) -> list[LoopResult]:
    """Restore crops, in batches that the backend takes.

    rho      B×S×S, the region weights ρ: how fast each pixel of the estimate moves
    epsilon  ε, the pass threshold; 0 is a pass for each step, HELD is one pass in all
    settled  the latent's relative change under which it has arrived; 0 never stops early
    """
    results: list[LoopResult] = []
    while len(results) < len(crops):
        part = slice(len(results), len(results) + backend.max_batch)
        with suppress(BatchLostError):
            results += _restore_batch(backend, crops[part], rho[part], settings, epsilon, settled)
    return results


def _restore_batch(
    backend: Backend,
    crops: Crops,
    rho: NDArray[np.float32],
    settings: RestoreSettings,
    epsilon: float,
    settled: float,
) -> list[LoopResult]:
    eta, steps = settings.latent_step_decay, settings.iterations
    schedule = pass_schedule(eta, steps, epsilon)
    deadline = time.perf_counter() + settings.budget * len(crops)
    degraded = np.stack([degrade(crop, settings.degradation_scale) for crop in crops])
    moving = schedule.steps[: len(schedule.times) - 1]
    distinct = sorted(set(moving))
    moves = [Move(gain(eta * rho, k)[:, None], progress(eta, k)) for k in distinct]
    state = backend.encode(_to_network(degraded), moves)
    try:
        backend.generate(state)
        passes, over_budget = 1, False
        changes: list[NDArray[np.float32]] = []
        pass_seconds = 0.0
        for done, k in zip(schedule.times[1:], moving, strict=True):
            start = time.perf_counter()
            if start + pass_seconds > deadline:
                over_budget, steps = True, done
                break
            changes.append(backend.step(state, distinct.index(k)))
            if changes[-1].max() < settled:
                break
            backend.generate(state)
            passes += 1
            pass_seconds = time.perf_counter() - start
        z, pictures = backend.first_latent(state), _from_network(backend.restored(state))
    finally:
        backend.release(state)
    return [
        LoopResult(restored, passes, steps, tuple(float(change[i]) for change in changes), over_budget, z[i])
        for i, restored in enumerate(pictures)
    ]


def _to_network(crops: Crops) -> Batch:
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2) * 2 - 1)


def _from_network(batch: Batch) -> Crops:
    return np.asarray(np.clip((batch.transpose(0, 2, 3, 1) + 1) / 2, 0, 1), np.float32)
