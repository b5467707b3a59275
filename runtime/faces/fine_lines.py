"""Fine lines of a picture: scratches, hairs and wrinkles."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Map, Pixels, eight_bit

THICKEST = 1 / 64
"""Thickness of a line at most, in crops, which are twice as wide as a face."""
SMALLEST_SQUARE = 5
"""Pixels: in a smaller one, no line is seen after smoothing."""
THIN = np.ones((3, 3), np.uint8)
THICK = 0.6
"""Share of a line's strength that so large a square keeps if the line is as thick."""
CONTRAST = 16 / 255
"""Least contrast of a line to what lies beside it."""


def fine_lines(piece: Pixels, width: float) -> tuple[Map, Map]:
    """Return how much brighter, and how much darker, each pixel is than the sides of its line, of full
    scale."""
    smooth = cv2.GaussianBlur(eight_bit(piece), (3, 3), 0)
    square = np.ones((thickest(width), thickest(width)), np.uint8)
    bright = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, square)
    dark = cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, square)
    if THICKEST * width < SMALLEST_SQUARE - 2:  # a band of 3 pixels is no scratch on a face this small
        bright, dark = _thin(bright), _thin(dark)
    # A line in one channel suffices: a yellow line on light skin differs only in blue.
    return _strongest(bright), _strongest(dark)


def _thin(lines: NDArray[Any]) -> NDArray[Any]:
    """Return fine lines without those that are three pixels thick, or thicker."""
    thick = cv2.morphologyEx(lines, cv2.MORPH_OPEN, THIN)
    return np.where(thick < THICK * cv2.dilate(lines, THIN), lines, 0)


def _strongest(channels: NDArray[Any]) -> Map:
    return np.asarray(channels.max(axis=2) / 255, np.float32)


def thickest(width: float) -> int:
    """Return how many pixels thick a scratch is at most, an odd number, in a crop of this width."""
    return max(SMALLEST_SQUARE, 2 * round(THICKEST * width / 2) + 1)
