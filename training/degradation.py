"""What time and cameras do to a face: the degradations of blind face restoration, at random."""

import cv2
import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Crop = NDArray[np.uint8]
"""S×S×3, RGB."""


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ranges to draw from, uniformly (after Yang et al. 2021 and Wang et al. 2021, GFPGAN)."""

    blur: tuple[float, float] = (0.1, 10.0)
    """σ of the Gaussian blur in pixels of a 512-px crop; narrower or wider crops scale it."""
    downscale: tuple[float, float] = (1.0, 8.0)
    """Factor by which the picture is shrunk, and enlarged again at the end."""
    noise: tuple[float, float] = (0.0, 20.0)
    """σ of the Gaussian noise on the small picture, in 8-bit levels."""
    jpeg: tuple[int, int] = (60, 100)
    """JPEG quality of the small picture."""
    untouched: float = 0.03
    """Share of crops that stay as they are: what is good must come back as it was."""


def degrade(crop: Crop, rng: Generator, ranges: Ranges) -> Crop:
    """Return the crop blurred, shrunk, noisy, compressed and enlarged again."""
    if rng.random() < ranges.untouched:
        return crop
    size = crop.shape[0]
    blur = rng.uniform(*ranges.blur) * size / 512
    small_size = max(8, round(size / rng.uniform(*ranges.downscale)))
    noise = rng.normal(0, rng.uniform(*ranges.noise), (small_size, small_size, 3))
    quality = int(rng.integers(ranges.jpeg[0], ranges.jpeg[1], endpoint=True))

    blurred = cv2.GaussianBlur(crop, (0, 0), blur)
    small = cv2.resize(blurred, (small_size, small_size), interpolation=cv2.INTER_AREA)
    noisy = np.clip(np.rint(small + noise), 0, 255).astype(np.uint8)
    return np.asarray(
        cv2.resize(_through_jpeg(noisy, quality), (size, size), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _through_jpeg(picture: Crop, quality: int) -> Crop:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
