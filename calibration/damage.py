"""Portraits as users' photos have them: from clean to badly damaged."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Crop = NDArray[np.float32]
"""S×S×3 in [0, 1], RGB."""


@dataclass(frozen=True)
class Damage:
    """Ranges that each kind of damage is drawn from, evenly."""

    blur: tuple[float, float]
    """σ in pixels of a crop of 512."""
    shrink: tuple[float, float]
    """Factor by which the picture has been smaller."""
    noise: tuple[float, float]
    """σ in 8-bit levels, on the small picture."""
    jpeg: tuple[int, int]
    """Quality, of the small picture."""


CLEAN = None
DAMAGES = (
    CLEAN,
    Damage(blur=(0, 2), shrink=(1, 1.5), noise=(0, 6), jpeg=(75, 98)),
    Damage(blur=(0, 5), shrink=(1, 4), noise=(0, 12), jpeg=(50, 95)),
    Damage(blur=(2, 10), shrink=(2, 8), noise=(3, 20), jpeg=(30, 90)),
)
"""From none to strong; the strong is the worst that blind restoration is commonly trained for."""


def damaged(crop: Crop, damage: Damage | None, rng: Generator) -> Crop:
    """Return a crop blurred, shrunk, noisy, compressed and enlarged again; or itself."""
    if damage is None:
        return crop
    size = len(crop)
    small_size = max(8, round(size / rng.uniform(*damage.shrink)))
    sigma = max(1e-3, rng.uniform(*damage.blur) * size / 512)
    blurred = cv2.GaussianBlur(crop, (0, 0), sigma)
    small = cv2.resize(blurred, (small_size, small_size), interpolation=cv2.INTER_AREA)
    noise = rng.normal(0, rng.uniform(*damage.noise), small.shape)
    pixels = np.rint(np.clip(small * 255 + noise, 0, 255)).astype(np.uint8)
    quality = int(rng.integers(*damage.jpeg, endpoint=True))
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.float32) / 255
    return np.clip(cv2.resize(decoded, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
