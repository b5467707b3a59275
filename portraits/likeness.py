"""Measures of how close a picture is to the truth; none needs a trained network.

Structure is measured on brightness, as the papers do; pictures are H×W×3 uint8, RGB.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import blur_effect
from skimage.metrics import structural_similarity

from base.decibels import decibels
from portraits.damage import Portrait
from runtime.faces.align import TEMPLATES
from runtime.faces.regions import region_masks
from runtime.finish.paste import FEATHER
from runtime.pixels import LUMA

Plane: TypeAlias = NDArray[np.float64]
"""H×W, brightness in 8-bit levels."""
Weights: TypeAlias = NDArray[np.float32]
"""H×W, the weight of each pixel."""

TITLES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "texture": "texture: correlation of the fine detail of skin",
    "skin_psnr": "PSNR of skin, dB",
    "features_psnr": "PSNR of eyes and lips, dB",
    "blur": "blur effect, 0 sharp to 1 blurred",
    "skin_statistics": "texture statistics of skin, octaves from the truth's",
    "hair_statistics": "texture statistics of hair, octaves from the truth's",
}
"""The measures of `measure`. More is better in all but the last three: the blur effect is best when it is
the truth's, the distance of the statistics when it is 0."""

SKIN = ("cheek", "forehead", "nose")
FEATURES = ("eye", "lip")

TEXTURE_SIGMA = 2.0
"""σ in pixels of the Gaussian blur that removes fine detail."""
BANDS = (1.0, 2.0, 4.0)
"""σ in pixels of the Gaussian blurs that separate detail into bands, the finest first."""
FAINTEST = 0.25
"""Levels below which a band counts as empty, because rounding to 8 bits leaves as much."""


@dataclass(frozen=True, eq=False)
class Ground:
    """Where a face is measured: its middle, which after pasting consists only of the restored face."""

    inside: tuple[slice, slice]
    skin: Weights
    hair: Weights
    features: Weights


def ground(size: int) -> Ground:
    """Return where to measure in portraits of size×size pixels that are aligned with the published
    template."""
    margin = math.ceil(FEATHER * size)
    inside = (slice(margin, size - margin),) * 2
    masks = region_masks(TEMPLATES["published"] * size, size)
    skin, features = (sum(masks[name] for name in names) for names in (SKIN, FEATURES))
    return Ground(inside, np.asarray(skin)[inside], masks["hair"][inside], np.asarray(features)[inside])


def measure(picture: Portrait, truth: Portrait, where: Ground) -> dict[str, float]:
    """Return every measure of TITLES."""
    picture, truth = picture[where.inside], truth[where.inside]
    x, y = brightness(picture), brightness(truth)
    return {
        "psnr": psnr(picture, truth),
        "ssim": ssim(x, y),
        "texture": texture(x, y, where.skin),
        "skin_psnr": psnr(picture, truth, where.skin),
        "features_psnr": psnr(picture, truth, where.features),
        "blur": blur(picture),
        "skin_statistics": octaves_apart(x, y, where.skin),
        "hair_statistics": octaves_apart(x, y, where.hair),
    }


def brightness(picture: Portrait) -> Plane:
    """Return the luma of ITU-R BT.601."""
    return np.asarray(picture @ LUMA, np.float64)


def psnr(a: Portrait, b: Portrait, weights: Weights | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB, with each pixel weighted if weights are given."""
    squares = ((a.astype(np.float64) - b) ** 2).mean(axis=2)
    error = float(np.average(squares, weights=weights))
    return decibels(max(error, 1e-10), 255)


def ssim(x: Plane, y: Plane) -> float:
    """Return the structural similarity, at most 1.

    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP
    13(4), 2004: windows of 11 pixels, Gaussian with σ = 1.5.
    """
    windows = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(x, y, data_range=255, **windows))  # type: ignore[no-untyped-call]


def texture(x: Plane, y: Plane, weights: Weights) -> float:
    """Return the correlation of the fine detail of two pictures, in [−1, 1]; 0 if one has none."""
    x, y = (plane - cv2.GaussianBlur(plane, (0, 0), TEXTURE_SIGMA) for plane in (x, y))
    x, y = (plane - np.average(plane, weights=weights) for plane in (x, y))
    power = float((weights * x * x).sum() * (weights * y * y).sum())
    return float((weights * x * y).sum()) / math.sqrt(power) if power else 0.0


def blur(picture: Portrait) -> float:
    """Return the blur effect, from 0 (sharp) to 1 (blurred): how little blurring changes the picture.

    F. Crete et al., "The blur effect: perception and estimation with a new no-reference perceptual blur
    metric", 2007, as implemented in scikit-image. Needs no truth. Noise counts as sharpness.
    """
    if not np.ptp(brightness(picture)):
        return 1.0
    return float(blur_effect(picture, channel_axis=-1))  # type: ignore[no-untyped-call]


def detail(x: Plane, weights: Weights) -> float:
    """Return the RMS of the finest band in levels: low for waxy skin, high for noise. Needs no truth."""
    return float(2 ** _statistics(x, weights)[0])


def octaves_apart(x: Plane, y: Plane, weights: Weights) -> float:
    """Return the mean difference of the texture statistics of two pictures in octaves; 0 if they are equal.

    The position of texture does not count, but its strength in each band and how evenly it is spread do. In
    a cartoon-like face the energy of a band is concentrated in a few strong edges, and its mean magnitude
    is low.
    """
    return float(np.abs(_statistics(x, weights) - _statistics(y, weights)).mean())


def _statistics(x: Plane, weights: Weights) -> NDArray[np.float64]:
    """Return the logarithms to base 2 of each band's RMS, then of each band's mean magnitude, in levels."""
    blurred = [x, *(cv2.GaussianBlur(x, (0, 0), sigma) for sigma in BANDS)]
    magnitudes = [np.abs(fine - coarse) for fine, coarse in pairwise(blurred)]
    rms = [math.sqrt(np.average(magnitude**2, weights=weights)) for magnitude in magnitudes]
    means = [float(np.average(magnitude, weights=weights)) for magnitude in magnitudes]
    return np.asarray(np.log2(np.maximum([*rms, *means], FAINTEST)), np.float64)
