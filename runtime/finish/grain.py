"""Give a restored face the grain of its photo.

Handing κ of the difference back returns κ² of the grain's variance, a twentieth with `film-scan`. So what of
the difference is grain returns whole: in each wavelet band the coefficients that are no larger than the
photo's grain is in that band. What stands out of the grain is structure, and only its share κ returns.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.finish.noise import BAND_NOISE, MEDIAN, around_middle, wavelet
from runtime.pixels import Picture, Pixels

OUTSTANDING = 3.0
"""A coefficient of this many σ is half grain, half structure."""

PLAIN = 0.3
"""The share of a picture in which its grain is measured: where it is smoothest at the scale of features."""

LEAST = np.float32(1e-6)
"""Grain under this, of 1, is none."""


def grain_of(difference: Picture, sigmas: NDArray[np.float32]) -> Picture:
    """Return the part of a difference, photo − restored, that is the photo's grain.

    sigmas  of the photo's grain in each wavelet band and colour channel, as `grain_sigmas` measures them
    """
    *bands, _ = wavelet(difference)
    grain = np.zeros_like(difference)
    for c, sigma in zip(bands, sigmas, strict=True):
        if np.any(sigma):
            squared = np.square(c / np.maximum(np.float32(OUTSTANDING) * sigma, LEAST))
            grain += c / (1 + np.square(squared))  # two squares: ** 4 takes many times as long
    return grain


def face_grain(
    photo: Pixels, aligned: AlignedFace, upscale: int = 1, gain: NDArray[np.floating] | float = 1.0
) -> NDArray[np.float32]:
    """Return the standard deviations of the grain of a photo at a face, of 1, as `grain_sigmas` does.

    photo    H×W×3 uint8 or uint16 RGB, not enlarged
    aligned  a face of that photo
    upscale  the photo will be enlarged by this factor before its grain is looked for
    gain     what brings its channels to studio light, 3
    """
    picture = around_middle(photo, aligned)
    if upscale > 1 and picture.size:
        height, width = picture.shape[:2]
        larger = (width * upscale, height * upscale)
        picture = np.asarray(cv2.resize(picture, larger, interpolation=cv2.INTER_LANCZOS4), np.float32)
    return grain_sigmas(picture, gain)


def grain_sigmas(picture: Picture, gain: NDArray[np.floating] | float = 1.0) -> NDArray[np.float32]:
    """Return the standard deviation of a picture's grain in each wavelet band and colour channel, of 1: 3×3.

    It is 0 for a picture without.

    Grain need not be white: its coarser bands are measured, where BAND_NOISE would foretell too little. Each
    is the median of the band's coefficients where what is left when all bands are taken away changes least.
    """
    none = np.zeros((len(BAND_NOISE), 3), np.float32)
    if not picture.size:
        return none
    *bands, rest = wavelet(picture)
    grey = cv2.cvtColor(np.asarray(rest * gain, np.float32), cv2.COLOR_RGB2GRAY)
    slope = cv2.blur(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)), (9, 9))
    shown = ((picture > 0) & (picture < 1)).all(axis=2)  # black and white hide grain
    if not shown.any():
        return none
    plain = shown & (slope <= np.quantile(slope[shown], PLAIN))
    return np.stack([np.median(np.abs(band[plain]), axis=0) / np.float32(MEDIAN) for band in bands])
