"""Detect implausible face colours in a network's output, as wrong weights or a wrong layout produce them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import sum_of_channels

FAR = 0.12
"""Colour distance, RMS over channels in [0, 1], that no real restoration reaches.

It was at most 0.01 for 110 portraits (clean, noisy, blurred, dark, faded, in tinted light …), and at least
0.27 for random weights.
"""
SMOOTH = 1 / 24
"""Standard deviation of the blur that keeps only a face's colours, as a share of the crop's side."""
GRID = 64
"""Side in pixels at which colours are compared."""
MARGIN = 0.1
"""Margin around the five landmarks that counts as face, as a share of the crop's side."""


def colours_are_far(
    crop: NDArray[np.float32], restored: NDArray[np.float32], landmarks: NDArray[np.floating]
) -> bool:
    """Return whether the blurred colours of most of a face are far from the network's input.

    crop, restored  S×S×3 in [0, 1]
    landmarks       5×2, (x, y) in crop pixels
    """
    size = min(len(crop), GRID)
    away = cv2.resize(restored - crop, (size, size), interpolation=cv2.INTER_AREA)
    on_grid = landmarks * (size / len(crop))
    x0, y0 = np.clip(on_grid.min(axis=0) - MARGIN * size, 0, size - 1).astype(int)
    x1, y1 = np.clip(on_grid.max(axis=0) + MARGIN * size, 1, size).astype(int)
    blurred = cv2.GaussianBlur(away, (0, 0), SMOOTH * size)
    away = np.asarray(blurred[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)], np.float32)
    # The median ignores local changes, such as redrawn glasses.
    return not float(np.median(np.sqrt(sum_of_channels(away * away) / 3))) <= FAR
