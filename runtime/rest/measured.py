"""The noise and grain of a whole photo, measured in a few squares of it."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.grain import grain_sigmas
from runtime.faces.noise import TEXTURE, noise_sigmas
from runtime.pixels import Picture, Pixels, as_float

SQUARE = 256
"""Edge of a square in pixels."""
ACROSS = 4
"""Largest number of squares in a row and in a column."""


def noise_of_photo(photo: Pixels) -> NDArray[np.float32]:
    """Return the σ of a photo's noise in each colour channel, 3, in units of full scale.

    It is the median over squares all over the photo, less what the texture of clean photos contributes.
    """
    noise = np.median([noise_sigmas(square) for square in squares_of(photo)], axis=0)
    return np.asarray(np.sqrt(np.maximum(0, noise**2 - TEXTURE**2)), np.float32)


def grain_of_photo(photo: Pixels, scale: int) -> NDArray[np.float32]:
    """Return the σ of the grain of a photo enlarged by `scale`, by wavelet band and channel, 3×3."""
    grain = [grain_sigmas(_larger(square, scale)) for square in squares_of(photo)]
    return np.asarray(np.median(grain, axis=0), np.float32)


def squares_of(photo: Pixels) -> Iterator[Picture]:
    """Yield squares spread evenly over a photo, each beginning at a block of JPEG; the photo itself if it is
    smaller."""
    height, width = photo.shape[:2]
    for top in _places(height):
        for left in _places(width):
            yield as_float(photo[top : top + SQUARE, left : left + SQUARE])


def _places(length: int) -> list[int]:
    count = min(ACROSS, max(1, length // SQUARE))
    last = max(0, length - SQUARE)
    return [
        round(last * ((i + 0.5) / count if count < ACROSS else i / (count - 1))) // 8 * 8
        for i in range(count)
    ]


def _larger(square: Picture, scale: int) -> Picture:
    if scale == 1:
        return square
    size = (square.shape[1] * scale, square.shape[0] * scale)
    return np.asarray(cv2.resize(square, size, interpolation=cv2.INTER_LANCZOS4), np.float32)
