"""How much nearer to the truth a restored face is than the degraded one."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.report import Report
from engines.errors import PhotoError
from engines.package import open_package
from runtime.backends import Backend, open_backend
from runtime.loop import restore_crops
from runtime.presets import preset
from training.degradation import Crop, Ranges, degrade
from training.portraits import load_portraits, portrait_paths

RANGES = Ranges(untouched=0.0)
"""The training ranges, without the share that is left as it is."""

MEASURES = {
    "degraded": "degraded crop",
    "restored": "restored crop",
    "untouched": "undegraded portrait, restored once",
    "second": "its second restoration against its first",
}


@dataclass(frozen=True)
class QualitySettings:
    """What is restored, and how often it is degraded."""

    portraits: Path
    """Folder of square portraits, aligned with the published template."""
    package: Path | None = None
    first: int = 0
    """Portraits before this one, in the order of their names, are left out: those that training saw."""
    seeds: int = 4
    """Degradations of each portrait; the same each time."""


def steps(settings: QualitySettings) -> int:
    """Return how often `measure` ticks."""
    return len(portrait_paths(settings.portraits)[settings.first :])


def measure(settings: QualitySettings, tick: Callable[[], None]) -> Report:
    """Degrade portraits over the training ranges, restore them with `classic`, and compare.

    Raises PhotoError when there are no portraits, PackageError and BackendError.
    """
    package = open_package(settings.package)
    backend = open_backend("auto", package)
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    portraits = load_portraits(settings.portraits, first=settings.first)
    if not portraits:
        raise PhotoError(f"{settings.portraits} holds no portrait from number {settings.first} on")
    for i, portrait in enumerate(portraits):
        truth = _resized(portrait, package.manifest.size)
        for seed in range(settings.seeds):
            degraded = degrade(truth, np.random.default_rng((seed, i)), RANGES)
            found["degraded"].append(psnr(degraded, truth))
            found["restored"].append(psnr(_restore(backend, degraded), truth))
        once = _restore(backend, truth)
        found["untouched"].append(psnr(once, truth))
        found["second"].append(psnr(_restore(backend, once), once))
        tick()
    backend.close()
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return _report(settings, package.manifest.name, len(portraits), means)


def psnr(a: Crop, b: Crop) -> float:
    """Return the peak signal-to-noise ratio of two 8-bit pictures in dB."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 10 * math.log10(255**2 / max(error, 1e-10))


def _report(settings: QualitySettings, package: str, count: int, means: Mapping[str, float]) -> Report:
    gain = means["restored"] - means["degraded"]
    return Report(
        name="quality",
        title=f"Quality of {package}, classic: {count} portraits, {settings.seeds} degradations each",
        headings=("mean PSNR of", "dB"),
        rows=tuple((MEASURES[name], f"{value:.2f}") for name, value in means.items()),
        summary=f"Restoration gains {gain:+.2f} dB on degraded crops.",
        figures={
            "package": package,
            "portraits": count,
            "first": settings.first,
            "seeds": settings.seeds,
            "psnr_db": dict(means),
            "gain_db": gain,
        },
    )


def _resized(portrait: Crop, size: int) -> Crop:
    return np.asarray(cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _restore(backend: Backend, crop: Crop) -> Crop:
    unit = crop[None].astype(np.float32) / np.float32(255)
    (result,) = restore_crops(backend, unit, np.ones(unit.shape[:3], np.float32), preset("classic"))
    return np.asarray(np.rint(result.restored * 255), np.uint8)
