"""Measure the grain of a photo at a face."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.faces.noise import BAND_NOISE, MEDIAN, around_middle, one_colour, wavelet
from runtime.pixels import Picture, Pixels, greatest_channel, least_channel

PLAIN = 0.3
"""Share of a picture, its smoothest part at the scale of facial features, in which grain is measured."""


def face_grain(
    photo: Pixels, aligned: AlignedFace, upscale: int = 1, gain: NDArray[np.floating] | float = 1.0
) -> NDArray[np.float32]:
    """Return the standard deviations of a photo's grain at a face, as `grain_sigmas` does.

    photo    H×W×3 uint8 or uint16 RGB, not enlarged
    aligned  a face of that photo
    upscale  the photo will be enlarged by this factor before its grain is separated
    gain     factors that bring its channels to studio light, 3
    """
    picture = around_middle(photo, aligned)
    if upscale > 1 and picture.size:
        height, width = picture.shape[:2]
        larger = (width * upscale, height * upscale)
        picture = np.asarray(cv2.resize(picture, larger, interpolation=cv2.INTER_LANCZOS4), np.float32)
    return grain_sigmas(picture, gain)


def grain_sigmas(picture: Picture, gain: NDArray[np.floating] | float = 1.0) -> NDArray[np.float32]:
    """Return the σ of a picture's grain by wavelet band and colour channel, 3×3, in units of full scale.

    It is 0 for a picture without grain.

    Grain need not be white, so each band is measured; BAND_NOISE would predict too little for the coarser
    ones. The measure is the median of a band's coefficients where the smooth rest changes least.
    """
    none = np.zeros((len(BAND_NOISE), 3), np.float32)
    if not picture.size:
        return none
    *bands, rest = wavelet(picture)
    grey = cv2.cvtColor(np.asarray(rest * gain, np.float32), cv2.COLOR_RGB2GRAY)
    slope = cv2.blur(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)), (9, 9))
    # Black and white hide grain, and drawn areas have none.
    shown = (least_channel(picture) > 0) & (greatest_channel(picture) < 1) & (one_colour(picture) == 0)
    if not shown.any():
        return none
    plain = shown & (slope <= np.quantile(slope[shown], PLAIN))
    return np.stack([_median(band[plain]) / np.float32(MEDIAN) for band in bands])


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of the absolute values of each column, N×3: 3."""
    return np.asarray(np.median(np.abs(values).T.copy(), axis=1), np.float32)
