"""Wavelet bands of a picture, and the noise of a photo at a face."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, joined, shift
from runtime.pixels import Map, Picture, Pixels, as_float

B3_SPLINE = np.array([1, 4, 6, 4, 1], np.float32) / 16

BAND_NOISE = (0.8908, 0.2007, 0.0855)
"""The σ in each wavelet band of white noise of σ = 1: the norm of the band's 2-D filter.

J.-L. Starck and F. Murtagh, "Automatic noise estimation from the multiresolution support", PASP 110, 1998,
find them by simulation.
"""

SUPPORT = 14
"""Reach of the wavelets in pixels: 2·(1 + 2 + 4)."""

MEDIAN = 0.6745
"""The median of the absolute values of Gaussian noise of σ = 1, for a robust estimate of σ.

D. L. Donoho and I. M. Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994.
"""

FLAT = 0.2
"""The share of a picture in which its noise is measured."""

TEXTURE = 1.5 / 255
"""Noise measured in clean portraits because of their pores and stubble: 0.7 to 1.9 levels."""

BLACK, WHITE = (1e-6,) * 3, (1 - 1e-6,) * 3
"""The smallest and the largest value that is neither black nor white, with a tolerance of half a level of 16
bits."""

ONE_COLOUR = 11
"""Side in pixels of the smallest square of one colour in which no noise is measured."""

SAME = 1e-4
"""Colours that differ by less are one, though interpolated."""

WIDEST = 512
"""Side of the largest square in which noise is measured, so that large faces take no longer."""


def wavelet(picture: Picture) -> list[Picture]:
    """Split a picture into three bands, the finest first, and the smooth rest; their sum is the picture.

    The à-trous transform with the B3 spline: J.-L. Starck, F. Murtagh and A. Bijaoui, "Image Processing and
    Data Analysis: The Multiscale Approach", 1998, chapter 1. Beyond its edge the picture is mirrored.
    """
    bands = []
    for level in range(len(BAND_NOISE)):
        smoother = _smoothed(picture, gap=2**level)
        bands.append(picture - smoother)
        picture = smoother
    return [*bands, picture]


def finest(picture: Picture) -> Picture:
    """Return the finest of the bands into which `wavelet` splits a picture."""
    return picture - _smoothed(picture, gap=1)


def _smoothed(picture: Picture, gap: int) -> Picture:
    """Smooth with the B3 spline, its taps this many pixels apart."""
    taps = np.zeros(4 * gap + 1, np.float32)
    taps[::gap] = B3_SPLINE
    smooth = cv2.sepFilter2D(picture, -1, taps, taps, borderType=cv2.BORDER_REFLECT)
    return smooth.astype(np.float32, copy=False)


def face_noise(
    photo: Pixels, aligned: AlignedFace, gain: NDArray[np.floating] | float = 1.0
) -> NDArray[np.float32]:
    """Return the σ of a photo's noise at a face in each colour channel, 3, in units of full scale.

    It is measured in the photo's own pixels, where coring is applied, because resampling to a crop changes
    noise. The amount that the texture of clean photos contributes is subtracted.

    photo    H×W×3 uint8 or uint16 RGB, not enlarged
    aligned  a face of that photo
    gain     factors that bring its channels to studio light, 3; channels with larger ones have less texture
    """
    noise = noise_sigmas(around_middle(photo, aligned))
    return np.asarray(np.sqrt(np.maximum(0, noise**2 - (TEXTURE / np.asarray(gain)) ** 2)), np.float32)


def around_middle(photo: Pixels, aligned: AlignedFace) -> Picture:
    """Return the photo's pixels around the middle of a face, at most WIDEST square; possibly none."""
    x0, y0, x1, y1 = middle_of(aligned)
    pixels = photo[y0:y1, x0:x1]
    return as_float(pixels)


def middle_of(aligned: AlignedFace) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the pixels around the middle of a face; they may lie beyond the photo."""
    size = len(aligned.crop)
    middle = aligned.to_photo @ ((size - 1) / 2, (size - 1) / 2, 1)
    half = min(WIDEST, size * aligned.scale) / 2
    x0, y0 = np.maximum(0, np.rint(middle - half)).astype(int).tolist()
    x1, y1 = np.maximum(0, np.rint(middle + half)).astype(int).tolist()
    return x0, y0, x1, y1


def black_where(cover: Map, photo: Pixels, aligned: AlignedFace) -> tuple[Pixels, AlignedFace]:
    """Return the photo around the middle of a face, and the face in it, both black where something covers it.

    Black hides noise, so none is measured there.

    cover  S×S in [0, 1], of the face's crop
    """
    x0, y0, x1, y1 = middle_of(aligned)
    part = photo[y0:y1, x0:x1].copy()
    crop = np.where(cover[..., None] > 0, np.float32(0), aligned.crop)
    within = replace(aligned, crop=crop, to_photo=joined(shift(-x0, -y0), aligned.to_photo))
    if part.size:
        hidden = cv2.warpAffine(cover, within.to_photo, part.shape[1::-1])
        part[hidden > 0] = 0
    return part, within


def enlarged_white_noise(upscale: int) -> Picture:
    """Return white noise of σ = 1, enlarged by a factor as photos are."""
    noise = np.random.default_rng(0).normal(0, 1, (128, 128, 3)).astype(np.float32)
    if upscale == 1:
        return noise
    larger = cv2.resize(noise, None, fx=upscale, fy=upscale, interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(larger, np.float32)


def noise_sigma(picture: Picture) -> float:
    """Return the σ of a picture's noise over all channels, in units of full scale; 0 if it has none."""
    return _deviation(_noisy_coefficients(picture).ravel())


def noise_sigmas(picture: Picture) -> NDArray[np.float64]:
    """Return the σ of a picture's noise in each colour channel, 3, in units of full scale."""
    return np.array([_deviation(channel) for channel in _noisy_coefficients(picture).T])


def _deviation(coefficients: NDArray[np.float32]) -> float:
    """Return the σ of white noise with these finest wavelet coefficients.

    Estimated from their median: D. L. Donoho and I. M. Johnstone, "Ideal spatial adaptation by wavelet
    shrinkage", Biometrika 81, 1994.
    """
    if not len(coefficients):
        return 0.0
    return float(np.median(np.abs(coefficients))) / (MEDIAN * BAND_NOISE[0])


def _noisy_coefficients(picture: Picture) -> NDArray[np.float32]:
    """Return the finest wavelet coefficients, N×3, where the coarser bands show least structure.

    Clipped pixels are excluded, so N is 0 for a picture that is clipped everywhere.
    """
    if not picture.size:
        return np.empty((0, 3), np.float32)
    fine, *coarser, _ = wavelet(picture)
    energy = np.sum([cv2.transform(band * band, np.ones((1, 3), np.float32)) for band in coarser], axis=0)
    structure = cv2.blur(energy, (9, 9))
    shown = unclipped(picture)
    if not shown.any():
        return np.empty((0, 3), np.float32)
    flat = shown & (structure <= np.quantile(structure[shown], FLAT))
    return np.asarray(np.compress(flat.ravel(), fine.reshape(-1, 3), axis=0), np.float32)


def unclipped(picture: Picture) -> NDArray[np.bool_]:
    """Return where the finest band shows a picture's noise, H×W: where it depends on no black or white
    pixels, and on no areas of one colour, as of drawn bars and replaced backgrounds."""
    inside = cv2.subtract(cv2.inRange(picture, BLACK, WHITE), one_colour(picture))
    return cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0


def one_colour(picture: Picture) -> NDArray[np.uint8]:
    """Return areas of exactly one colour that are wider than a JPEG block: H×W, 255 inside, 0 elsewhere."""
    square = np.ones((ONE_COLOUR, ONE_COLOUR), np.uint8)
    change = cv2.dilate(picture, square) - cv2.erode(picture, square)
    constant = cv2.inRange(change, (0,) * 3, (SAME,) * 3)
    return np.asarray(cv2.dilate(constant, square), np.uint8)
