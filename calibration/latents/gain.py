"""Does the latent follow the face, or its damage? Asked of portraits that are damaged on purpose.

The latent-decay loop encodes what it has restored and moves the latent there. Where the latent says whose
face it is, that brings it nearer. Where it says how noisy or blurred the crop was, a restored face looks
like one that needs no restoring: the loop forgets the damage and undoes its own work, and had better hold
the first latent. Networks differ in that, so it is measured for each package.

For a package of the renewed loop the same comparison tells what the passes after the first win.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from portraits.damage import Damage, damaged
from runtime.network.backends import Backend
from runtime.network.loop import restore_crops
from runtime.network.schedule import EPSILON, HELD
from runtime.settings.settings import RestoreSettings

Crops = NDArray[np.float32]
"""B×S×S×3 in [0, 1], RGB."""

KINDS = (
    Damage(blur=(8, 8), shrink=(1, 1), noise=(0, 0), jpeg=(98, 98)),
    Damage(blur=(1, 1), shrink=(1, 1), noise=(12, 12), jpeg=(98, 98)),
)
"""Strong blur, and noise: one at a time, so that neither hides what the other costs."""
PORTRAITS = 24
"""So many are enough: what it costs differs by whole decibels."""
TOLERATED = 0.3
"""dB that moving the latent may cost where it costs most; beyond, it is held."""


STEPS = 2 * len(KINDS)
"""How often `gain_of_moving` ticks."""


def gain_of_moving(
    backend: Backend, portraits: Crops, seed: int = 0, tick: Callable[[], None] = lambda: None
) -> float:
    """Return what moving the latent wins over holding it, in dB, with the damage where it wins least."""
    rng = np.random.default_rng(seed)
    gains = []
    for damage in KINDS:
        crops = np.stack([damaged(portrait, damage, rng) for portrait in portraits])
        errors = []
        for epsilon in (EPSILON, HELD):
            errors.append(_errors(backend, crops, portraits, epsilon))
            tick()
        moved, held = errors
        gains.append(float(np.mean(10 * np.log10(held / moved))))
    return min(gains)


def _errors(backend: Backend, crops: Crops, truths: Crops, epsilon: float) -> NDArray[np.float64]:
    """Return the mean squared error of each restored crop."""
    settings = RestoreSettings(degradation_scale=0, budget=math.inf)
    everywhere = np.ones(crops.shape[:3], np.float32)
    results = restore_crops(backend, crops, everywhere, settings, epsilon=epsilon)
    return np.array(
        [
            np.square(result.restored - truth, dtype=np.float64).mean() + 1e-10
            for result, truth in zip(results, truths, strict=True)
        ]
    )
