"""Measure the model alone on whole crops: portraits damaged as in training, by number of passes."""

from collections.abc import Callable, Sequence

import numpy as np

from bench.quality.passes import methods_by_passes, settings_of
from engines.package import Manifest
from portraits.damage import Portrait, degrade
from portraits.degradations import RANGES
from portraits.likeness import blur, brightness, psnr, ssim
from runtime.network.backends import Backend
from runtime.network.loop import restore_crops

SEEDS = 4
"""Degradations of each portrait; the same each time."""

Figures = dict[str, dict[str, float]]
"""By method, `degraded`, `restored` (by `classic`) and `truth` among them: the mean `psnr` in dB, `ssim` and
`blur`, the blur effect."""


def measure(
    package: Manifest, backend: Backend, truths: Sequence[Portrait], tick: Callable[[], None]
) -> Figures:
    """Restore whole crops with `classic`, and with more passes; tick after each portrait."""
    more = {method: passes for passes, method in methods_by_passes(package).items() if passes > 1}
    found: dict[str, list[tuple[float, float, float]]] = {
        name: [] for name in ("degraded", "restored", *more, "truth")
    }
    for i, truth in enumerate(truths):
        degraded = [degrade(truth, np.random.default_rng((seed, i)), RANGES) for seed in range(SEEDS)]
        crops = {"degraded": degraded, "restored": _restore(backend, degraded, "classic", 1)}
        crops |= {method: _restore(backend, degraded, method, passes) for method, passes in more.items()}
        for name, these in (crops | {"truth": [truth]}).items():
            light = brightness(truth)
            found[name] += [(psnr(crop, truth), ssim(brightness(crop), light), blur(crop)) for crop in these]
        tick()
    means = {name: np.mean(values, axis=0).tolist() for name, values in found.items()}
    return {name: dict(zip(("psnr", "ssim", "blur"), mean, strict=True)) for name, mean in means.items()}


def _restore(backend: Backend, crops: Sequence[Portrait], method: str, passes: int) -> list[Portrait]:
    unit = np.stack(crops).astype(np.float32) / np.float32(255)
    rho = np.ones(unit.shape[:3], np.float32)
    results = restore_crops(backend, unit, rho, settings_of(method), most=passes)
    return [np.asarray(np.rint(result.restored * 255), np.uint8) for result in results]
