"""Keep lines that noise does not explain: rims of spectacles, strands of hair before a face, lashes.

A network that takes noise off a face also rounds off lines that are finer than what it knows of faces, or
shifts their colour. Pixel by pixel that is no more than the noise. But along a line it adds up, while noise
averages out: what remains of the removed part after averaging along a line, and stands out of the noise, is
handed back. The average brings hardly any noise with it.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import middle
from runtime.faces.noise import enlarged_white_noise
from runtime.finish.compose import in_colours
from runtime.finish.fine_detail import LEAST, QUIETEST
from runtime.pixels import Map, Picture, ramp

REACH = 5
"""How far along a line it is averaged, in pixels: kernels of 11×11 are quick."""

DIRECTIONS = 8
"""Number of directions that are tried."""

ALONG, ACROSS, FAINTEST = 3.0, 0.5, 0.1
"""σ of a kernel along and across its line, in pixels, and the smallest weight, relative to the largest."""

NOISE_ALONE, FIRM = 1.8, 2.6
"""Averages relative to noise: below the first they count as noise alone, above the second as certain.
Of white noise, which has 1.4 in the best direction, one in ten exceeds the first, one in a thousand the
second."""

HIGH, USUAL = 0.9, 1.86
"""Quantile that tells how high noise is, and its value for white noise."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines that are handed back."""

    noise: NDArray[np.float32]
    """σ of the photo's noise after averaging along a line, in each channel, 3."""
    share: float
    """Share of them that is handed back, in (0, 1]."""

    def of(self, removed: Picture) -> Picture:
        """Return the lines in what was removed, H×W×3: the photo minus what is restored."""
        averages, height = _averages(removed, self.noise)
        return in_colours(np.float32(self.share) * np.float32(ramp(height, NOISE_ALONE, FIRM))) * averages


def find_lines(removed: Picture, noise: NDArray[np.floating], trust: float, upscale: int = 1) -> Lines | None:
    """Return what is needed to find lines in what was removed from a face; None if nothing is handed back.

    removed  H×W×3, the photo around the middle of the face minus what is restored, not enlarged
    noise    σ of the photo's noise in each channel, 3, in units of full scale
    trust    the degree to which noise is the photo's only damage, 0 to 1
    upscale  the photo will be enlarged by this factor
    """
    if not (noise.any() and trust and removed.size):
        return None
    strongest = max(QUIETEST * float(noise.max()), LEAST)
    unit = np.maximum(np.asarray(noise, np.float32), np.float32(strongest))
    # Coarse noise, as of an enlarged photo, averages out less, and so does noise that all channels share.
    height = float(np.quantile(_averages(middle(removed), unit * np.float32(_averaged(1)))[1], HIGH))
    coarse = max(1.0, height / USUAL)
    return Lines(np.asarray(unit * np.float32(coarse * _averaged(upscale)), np.float32), trust)


def _averages(removed: Picture, noise: NDArray[np.float32]) -> tuple[Picture, Map]:
    """Return the average along the line in each pixel's best direction, H×W×3, and its height relative to the
    noise, H×W."""
    best, highest = np.zeros_like(removed), np.zeros(removed.shape[:2], np.float32)
    weights = (1 / (3 * noise[None] ** 2)).astype(np.float32)
    for kernel in _kernels():
        average = cv2.filter2D(removed, -1, kernel, borderType=cv2.BORDER_REFLECT)
        height = cv2.transform(average * average, weights)
        higher = height > highest
        highest[higher], best[higher] = height[higher], average[higher]
    return best, np.sqrt(highest)


@lru_cache(maxsize=1)
def _kernels() -> tuple[NDArray[np.float32], ...]:
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1].astype(np.float32)
    kernels = []
    for turn in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        kernel = np.exp(-((along / ALONG) ** 2) / 2 - (across / ACROSS) ** 2 / 2)
        kernel[kernel < FAINTEST * kernel.max()] = 0
        kernels.append(np.asarray(kernel / kernel.sum(), np.float32))
    return tuple(kernels)


@lru_cache(maxsize=4)
def _averaged(upscale: int) -> float:
    """Return the σ of enlarged white noise after averaging along a line."""
    noise = enlarged_white_noise(upscale)
    return float(np.mean([cv2.filter2D(noise, -1, kernel).std() for kernel in _kernels()]))
