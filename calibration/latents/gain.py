"""Measure on damaged portraits what the loop of a package gains by moving the latent, and record it.

The latent-decay loop encodes its own result and moves the latent there. If the latent encodes the identity of
the face, that brings it closer. If it encodes how noisy or blurred the crop was, a restored face looks as if
it needed no restoration: the loop forgets the damage and undoes its own work, so the first latent should be
held. Networks differ in this, so it is measured for each package.

For a package of the renewed loop the same comparison measures the gain of the passes after the first.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.files import write_json
from engines.package import MANIFEST, Latents, Package
from portraits.damage import Damage, damaged
from portraits.reading import LEAST, check_count, crops_of, pictures_in
from runtime.faces.detect import Detector
from runtime.network.backends import Backend
from runtime.network.loop import restore_crops
from runtime.network.schedule import MOST
from runtime.pixels import Crop, Crops
from runtime.settings.settings import RestoreSettings

KINDS = (
    Damage(blur=(8, 8), shrink=(1, 1), noise=(0, 0), jpeg=(98, 98)),
    Damage(blur=(1, 1), shrink=(1, 1), noise=(12, 12), jpeg=(98, 98)),
)
"""Strong blur, and noise: separately, so that neither hides the cost of the other."""
PORTRAITS = 24
"""This many are enough: the differences are whole decibels."""
TOLERATED = 0.3
"""Largest loss in dB from moving the latent at any damage; beyond it, the latent is held."""
STEPS = 2 * len(KINDS)
"""Number of calls of `tick` by `gain_of_moving`."""


def measure(
    package: Package,
    backend: Backend,
    folder: Path,
    detector: Detector | None,
    *,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Latents:
    """Restore damaged faces of a folder, the first PORTRAITS, with the latent moved and held.

    backend   runs the package
    detector  None if the pictures are aligned crops
    tick      called for each picture, and STEPS times more

    Raises PhotoError if there are too few faces.
    """
    portraits: list[Crop] = []
    for path in pictures_in(folder, least=LEAST):
        if len(portraits) < PORTRAITS:
            portraits += crops_of(path, package.manifest.size, detector)
        tick()
    check_count(folder, len(portraits))
    chosen = np.stack(portraits[:PORTRAITS])
    gain = gain_of_moving(backend, chosen, seed, tick)
    held = gain < -TOLERATED and package.manifest.loop_kind != "renewed"
    return Latents(len(chosen), round(gain, 2), held)


def write(package: Package, latents: Latents) -> None:
    """Write the result into a package's manifest, replacing an older one.

    Raises PhotoError if the package's folder cannot be written.
    """
    write_json(package.folder / MANIFEST, replace(package.manifest, latents=latents))


def gain_of_moving(backend: Backend, portraits: Crops, seed: int, tick: Callable[[], None]) -> float:
    """Return the gain in dB of moving the latent over holding it, for the damage at which it is smallest."""
    rng = np.random.default_rng(seed)
    gains = []
    for damage in KINDS:
        crops = np.stack([damaged(portrait, damage, rng) for portrait in portraits])
        errors = []
        for most in (MOST, 1):
            errors.append(_errors(backend, crops, portraits, most))
            tick()
        moved, held = errors
        gains.append(float(np.mean(10 * np.log10(held / moved))))
    return min(gains)


def _errors(backend: Backend, crops: Crops, truths: Crops, most: int) -> NDArray[np.float64]:
    """Return the mean squared error of each restored crop."""
    settings = RestoreSettings(degradation_scale=0, budget=math.inf)
    everywhere = np.ones(crops.shape[:3], np.float32)
    results = restore_crops(backend, crops, everywhere, settings, most=most)
    return np.array(
        [
            np.square(result.restored - truth, dtype=np.float64).mean() + 1e-10
            for result, truth in zip(results, truths, strict=True)
        ]
    )
