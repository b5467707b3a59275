"""Take away what the photo network leaves of strong noise: mottling too coarse for what it sees at once.

In a photo of half the size, mottling is as fine as noise was before. What the network changes there is
enlarged and added.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from runtime.photo.row_bands import row_bands
from runtime.pixels import Picture, Pixels

LEAST = 64
"""A photo with a shorter side has nothing coarse."""


def smooth_coarse_noise(photo: Pixels, restore_half: Callable[[Pixels], Pixels]) -> None:
    """Add to a photo, in place, what restoring it at half its size changes.

    photo         H×W×3 uint8 or uint16
    restore_half  restores a photo of half the size, uint16
    """
    if min(photo.shape[:2]) < LEAST:
        return
    half = _halved(photo)
    better = restore_half(half)
    levels = np.float32(np.iinfo(photo.dtype).max / np.iinfo(half.dtype).max)
    depth = cv2.CV_8U if photo.dtype == np.uint8 else cv2.CV_16U
    for rows in _bands(photo):
        around = slice(max(0, rows.start // 2 - 1), rows.stop // 2 + 1)
        change = (better[around].astype(np.float32) - half[around]) * levels
        change = _doubled(change, photo.shape[1])[rows.start - 2 * around.start :]
        part = photo[rows]
        photo[rows] = cv2.add(part, change[: len(part)], dtype=depth)


def _bands(photo: Pixels) -> Iterator[slice]:
    """Yield pairs of rows; the last of an odd number belongs to the band before."""
    for band in row_bands(len(photo) // 2, photo.shape[1]):
        stop = 2 * band.stop
        yield slice(2 * band.start, len(photo) if stop == len(photo) - 1 else stop)


def _halved(photo: Pixels) -> Pixels:
    """Return a photo of half the size, uint16, without the last of an odd number of rows or columns."""
    height, width = (side // 2 for side in photo.shape[:2])
    half = np.empty((height, width, 3), np.uint16)
    factor = np.float32(np.iinfo(half.dtype).max / np.iinfo(photo.dtype).max)
    for rows in row_bands(height, 2 * width):
        part = photo[2 * rows.start : 2 * rows.stop, : 2 * width].astype(np.float32) * factor
        half[rows] = np.rint(cv2.resize(part, (width, rows.stop - rows.start), interpolation=cv2.INTER_AREA))
    return half


def _doubled(change: Picture, width: int) -> Picture:
    """Return a picture enlarged by 2; its last row and column once more, for odd sides."""
    size = (2 * change.shape[1], 2 * len(change))
    large = cv2.resize(change, size, interpolation=cv2.INTER_LINEAR)
    border = cv2.copyMakeBorder(large, 0, 1, 0, width - size[0], cv2.BORDER_REPLICATE)
    return np.asarray(border, np.float32)
