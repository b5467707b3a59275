"""Types of pixel arrays, pictures and maps, and conversions between them."""

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""H×W×3, RGB: a photo, or a piece of one."""

Picture: TypeAlias = NDArray[np.float32]
"""H×W×3 in [0, 1], RGB; or a difference of two."""

Crop: TypeAlias = NDArray[np.float32]
"""S×S×3 in [0, 1], RGB: a face cut out for the network."""

Crops: TypeAlias = NDArray[np.float32]
"""B×S×S×3 in [0, 1], RGB."""

Map: TypeAlias = NDArray[np.float32]
"""S×S, or H×W: one value for each pixel."""

Matrix: TypeAlias = NDArray[np.float64]
"""2×3; maps (x, y) in OpenCV's coordinates, where (0, 0) is the middle of the first pixel."""

Rectangle: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels; x1 and y1 lie just outside."""

LUMA: NDArray[np.float64] = np.array([0.299, 0.587, 0.114])
"""Weights of R, G and B in brightness, from ITU-R BT.601."""


def as_float(pixels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return pixels, uint8 or uint16, in [0, 1]."""
    return np.asarray(pixels / np.float32(np.iinfo(pixels.dtype).max), np.float32)


def eight_bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels with 8 bits; 16 bits are rounded to the nearest level."""
    if pixels.dtype == np.uint8:
        return pixels
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257), np.uint8)  # 65535 = 255·257


def greatest_channel(picture: NDArray[Any]) -> Map:
    """Return the maximum of three channels, H×W; NumPy is slow along so short an axis."""
    first, second, third = cv2.split(picture)
    return np.asarray(cv2.max(cv2.max(first, second), third), np.float32)


def least_channel(picture: NDArray[Any]) -> Map:
    """Return the minimum of three channels, H×W."""
    first, second, third = cv2.split(picture)
    return np.asarray(cv2.min(cv2.min(first, second), third), np.float32)


def sum_of_channels(picture: NDArray[np.float32]) -> Map:
    """Return the sum of three channels, along the last axis of any array."""
    return np.asarray(picture[..., 0] + picture[..., 1] + picture[..., 2], np.float32)


def smoothstep(x: Any) -> Any:
    """Return 0 for x ≤ 0, 1 for x ≥ 1, and 3x² − 2x³ in between; arrays keep their dtype."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def ramp(x: Any, low: float, high: float) -> Any:
    """Return 0 for x ≤ low, 1 for x ≥ high, and a smooth transition in between; arrays keep their dtype."""
    return smoothstep((x - low) / (high - low))
