"""How near a picture is to the truth, by measures that need no trained network.

Structure is measured on brightness, as the papers do; pictures are H×W×3 uint8, RGB.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import blur_effect

from runtime.faces.align import TEMPLATES
from runtime.faces.regions import region_masks
from runtime.finish.paste import FEATHER
from training.degradation import Crop

Plane: TypeAlias = NDArray[np.float64]
"""H×W, brightness in 8-bit levels."""
Weights: TypeAlias = NDArray[np.float32]
"""H×W, how much each pixel counts."""

TITLES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "vif": "VIF",
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

SSIM_SIGMA, SSIM_TAPS = 1.5, 11
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales of MS-SSIM, the finest first."""
VIF_NOISE = 2.0
"""Variance of the eye's own noise, in squared levels."""
TEXTURE_SIGMA = 2.0
"""Fine detail is what a Gaussian blur of so many pixels takes away."""
BANDS = (1.0, 2.0, 4.0)
"""σ in pixels of the Gaussian blurs that cut detail into bands, the finest first."""
FAINTEST = 0.25
"""Levels below which a band is taken for empty: what rounding to 8 bits leaves."""


@dataclass(frozen=True, eq=False)
class Ground:
    """Where a face is measured: the middle, which pasting fills with the restored face alone."""

    inside: tuple[slice, slice]
    skin: Weights
    hair: Weights
    features: Weights


def ground(size: int) -> Ground:
    """Return where to measure in portraits of size×size, aligned with the published template."""
    margin = math.ceil(FEATHER * size)
    inside = (slice(margin, size - margin),) * 2
    masks = region_masks(TEMPLATES["published"] * size, size)
    skin, features = (sum(masks[name] for name in names) for names in (SKIN, FEATURES))
    return Ground(inside, np.asarray(skin)[inside], masks["hair"][inside], np.asarray(features)[inside])


def measure(picture: Crop, truth: Crop, where: Ground) -> dict[str, float]:
    """Return every measure of TITLES."""
    picture, truth = picture[where.inside], truth[where.inside]
    x, y = brightness(picture), brightness(truth)
    return {
        "psnr": psnr(picture, truth),
        "ssim": ssim(x, y),
        "ms_ssim": ms_ssim(x, y),
        "vif": vif(x, y),
        "texture": texture(x, y, where.skin),
        "skin_psnr": psnr(picture, truth, where.skin),
        "features_psnr": psnr(picture, truth, where.features),
        "blur": blur(picture),
        "skin_statistics": octaves_apart(x, y, where.skin),
        "hair_statistics": octaves_apart(x, y, where.hair),
    }


def brightness(picture: Crop) -> Plane:
    """Return the luma of ITU-R BT.601."""
    return np.asarray(picture @ np.array([0.299, 0.587, 0.114]), np.float64)


def psnr(a: Crop, b: Crop, weights: Weights | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB; with weights, of the pixels that they count."""
    squares = ((a.astype(np.float64) - b) ** 2).mean(axis=2)
    error = float(np.average(squares, weights=weights))
    return 10 * math.log10(255**2 / max(error, 1e-10))


def ssim(x: Plane, y: Plane) -> float:
    """Return the structural similarity, at most 1.

    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP
    13(4), 2004: windows of 11 pixels, Gaussian with σ = 1.5, that lie whole inside.
    """
    brightness_term, contrast_term = _similarity(x, y)
    return float((brightness_term * contrast_term).mean())


def ms_ssim(x: Plane, y: Plane) -> float:
    """Return the multi-scale structural similarity, in [0, 1].

    Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multiscale structural similarity for image quality
    assessment", 2003. A picture too small for five scales has as many as fit, their weights summing to 1.
    """
    scales = min(len(SCALES), 1 + int(math.log2(min(x.shape) / SSIM_TAPS)))
    exponents = np.array(SCALES[:scales]) / sum(SCALES[:scales])
    result = 1.0
    for i, exponent in enumerate(exponents):
        brightness_term, similarity = _similarity(x, y)
        if i == scales - 1:
            similarity = brightness_term * similarity
        result *= max(0.0, float(similarity.mean())) ** exponent
        x, y = _halved(x), _halved(y)
    return result


def vif(x: Plane, y: Plane) -> float:
    """Return the visual information fidelity: how much of what the eye learns from y it learns from x.

    H. R. Sheikh and A. C. Bovik, "Image information and visual quality", IEEE TIP 15(2), 2006, in the
    authors' pixel-domain form. Over 1 when contrast is raised.
    """
    seen = there = 1e-10
    for scale in range(4):
        taps = 2 ** (4 - scale) + 1
        if scale:
            x, y = (_blurred((plane,), taps / 5, taps)[0][::2, ::2] for plane in (x, y))
        mean_x, mean_y, xx, yy, xy = _blurred((x, y, x * x, y * y, x * y), taps / 5, taps)
        variance_x, variance_y = np.maximum(xx - mean_x**2, 0), np.maximum(yy - mean_y**2, 0)
        gain = np.maximum((xy - mean_x * mean_y) / (variance_y + 1e-10), 0)
        lost = np.maximum(variance_x - gain * (xy - mean_x * mean_y), 1e-10)
        seen += float(np.log10(1 + gain**2 * variance_y / (lost + VIF_NOISE)).sum())
        there += float(np.log10(1 + variance_y / VIF_NOISE).sum())
    return seen / there


def texture(x: Plane, y: Plane, weights: Weights) -> float:
    """Return the correlation of the fine detail of two pictures, in [−1, 1]; 0 where one has none."""
    x, y = (plane - cv2.GaussianBlur(plane, (0, 0), TEXTURE_SIGMA) for plane in (x, y))
    x, y = (plane - np.average(plane, weights=weights) for plane in (x, y))
    power = float((weights * x * x).sum() * (weights * y * y).sum())
    return float((weights * x * y).sum()) / math.sqrt(power) if power else 0.0


def blur(picture: Crop) -> float:
    """Return the blur effect, 0 for sharp to 1 for blurred: how little a blur changes the picture.

    F. Crete et al., "The blur effect: perception and estimation with a new no-reference perceptual blur
    metric", 2007, as scikit-image has it. Needs no truth. Noise counts as sharpness; a flat picture has none.
    """
    if not np.ptp(brightness(picture)):
        return 1.0
    return float(blur_effect(picture, channel_axis=-1))  # type: ignore[no-untyped-call]


def detail(x: Plane, weights: Weights) -> float:
    """Return the RMS of the finest band in levels: wax has little of it, noise much. Needs no truth."""
    return float(2 ** _statistics(x, weights)[0])


def octaves_apart(x: Plane, y: Plane, weights: Weights) -> float:
    """Return how far the texture statistics of two pictures are apart: a mean of octaves, 0 for the same.

    Texture may lie elsewhere, but must be as strong in each band, and as evenly spread: what a cartoon
    keeps of a band's energy lies in a few strong edges, and its mean magnitude falls.
    """
    return float(np.abs(_statistics(x, weights) - _statistics(y, weights)).mean())


def _statistics(x: Plane, weights: Weights) -> NDArray[np.float64]:
    """Return the logarithms to base 2 of each band's RMS, then of each band's mean magnitude, in levels."""
    blurred = [x, *(cv2.GaussianBlur(x, (0, 0), sigma) for sigma in BANDS)]
    magnitudes = [np.abs(fine - coarse) for fine, coarse in pairwise(blurred)]
    rms = [math.sqrt(np.average(magnitude**2, weights=weights)) for magnitude in magnitudes]
    means = [float(np.average(magnitude, weights=weights)) for magnitude in magnitudes]
    return np.asarray(np.log2(np.maximum([*rms, *means], FAINTEST)), np.float64)


def _similarity(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return SSIM's comparison of brightness, and that of contrast and structure, at each pixel."""
    mean_x, mean_y, xx, yy, xy = _blurred((x, y, x * x, y * y, x * y), SSIM_SIGMA, SSIM_TAPS)
    brightness_term = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    variances = xx - mean_x**2 + yy - mean_y**2
    return brightness_term, (2 * (xy - mean_x * mean_y) + C2) / (variances + C2)


def _blurred(planes: Sequence[Plane], sigma: float, taps: int) -> list[Plane]:
    """Blur planes with a Gaussian of so many taps, and keep the pixels that look at no others outside."""
    half = taps // 2
    height, width = planes[0].shape
    inside = np.s_[half : height - half, half : width - half]
    return [np.asarray(cv2.GaussianBlur(plane, (taps, taps), sigma)[inside], np.float64) for plane in planes]


def _halved(x: Plane) -> Plane:
    height, width = (side // 2 * 2 for side in x.shape)
    return np.asarray(x[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)), np.float64)
