"""The model by itself, at full strength: portraits damaged as in training, and portraits that are good."""

from collections.abc import Callable, Sequence

import numpy as np

from bench.degradations import RANGES
from bench.measures import brightness, psnr, ssim
from runtime.backends import Backend
from runtime.loop import restore_crops
from runtime.presets import preset
from training.degradation import Crop, degrade

SEEDS = 4
"""Degradations of each portrait; the same each time."""

TITLES = {
    "degraded": "degraded over the training ranges",
    "restored": "the same, restored",
    "untouched": "undegraded, restored once",
    "second": "its second restoration against its first",
}

Figures = dict[str, dict[str, float]]
"""By the names of TITLES: the mean `psnr` in dB and the mean `ssim`."""


def measure(backend: Backend, truths: Sequence[Crop], tick: Callable[[], None]) -> Figures:
    """Restore whole crops with `classic`; tick after each portrait."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in TITLES}
    for i, truth in enumerate(truths):
        degraded = [degrade(truth, np.random.default_rng((seed, i)), RANGES) for seed in range(SEEDS)]
        once, *restored = _restore(backend, [truth, *degraded])
        (twice,) = _restore(backend, [once])
        found["degraded"] += [_near(crop, truth) for crop in degraded]
        found["restored"] += [_near(crop, truth) for crop in restored]
        found["untouched"].append(_near(once, truth))
        found["second"].append(_near(twice, once))
        tick()
    means = {name: np.mean(values, axis=0).tolist() for name, values in found.items()}
    return {name: {"psnr": mean[0], "ssim": mean[1]} for name, mean in means.items()}


def _near(crop: Crop, truth: Crop) -> tuple[float, float]:
    return psnr(crop, truth), ssim(brightness(crop), brightness(truth))


def _restore(backend: Backend, crops: Sequence[Crop]) -> list[Crop]:
    unit = np.stack(crops).astype(np.float32) / np.float32(255)
    results = restore_crops(backend, unit, np.ones(unit.shape[:3], np.float32), preset("classic"))
    return [np.asarray(np.rint(result.restored * 255), np.uint8) for result in results]
