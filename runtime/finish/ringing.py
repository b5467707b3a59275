"""Clamp ringing: keep a restored face within the range of the photo nearby.

A network that sharpens an edge overshoots on both sides of it. Overshoot is brighter or darker than all of
the photo nearby, including halos that the photo already has.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.finish.surroundings import Surroundings
from runtime.pixels import Picture, Pixels

REACH = 3.0
"""Radius of the neighbourhood in crop pixels: the width of a network's halo."""
FARTHEST = 16
"""The same, at most, in photo pixels."""

SOFT = 0.15
"""Share of the range at either end in which values are compressed instead of clipped."""
SOFTEST = 0.02
"""And at most, of 1."""


def ringing_margin(aligned: AlignedFace) -> int:
    """Return how far around a pixel the photo is read, in photo pixels."""
    return ringing_reach(aligned.scale)


def without_ringing(composed: Picture, around: Surroundings) -> Picture:
    """Return composed pixels of a face, none of them brighter or darker than the photo nearby."""
    reach = ringing_margin(around.aligned)
    return clamp_ringing(composed, around.photo, around.inside, reach, around.gain)


def ringing_reach(scale: float) -> int:
    """Return the radius of the neighbourhood in photo pixels; a crop pixel is `scale` of them wide."""
    return min(FARTHEST, math.ceil(REACH * max(1.0, scale)))


def clamp_ringing(
    composed: Picture,
    photo: Pixels,
    inside: tuple[slice, slice],
    reach: int,
    gain: NDArray[np.floating] | float = 1.0,
) -> Picture:
    """Return the composed pixels, none of them brighter or darker than the photo nearby.

    Each colour channel is clamped separately. Values inside the range are unchanged, except close to its
    ends, where they are compressed smoothly.

    composed  H×W×3 in [0, 1]
    photo     uint8 or uint16, with a margin around the composed pixels
    inside    where in `photo` the composed pixels lie
    reach     how far around a pixel its range is found, in pixels
    gain      factors that bring the photo's channels to studio light, 3
    """
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    to_one = 1 / np.float32(np.iinfo(photo.dtype).max)
    least, most = (
        np.asarray(of(photo, square)[inside] * to_one, np.float32) for of in (cv2.erode, cv2.dilate)
    )
    soft = np.minimum(SOFT * (most - least), np.asarray(SOFTEST / gain, np.float32))
    clamped = _bent(composed, most, soft)
    return np.asarray(-_bent(-clamped, -least, soft), np.float32)


def _bent(values: Picture, limit: Picture, soft: Picture) -> Picture:
    """Compress values above limit − soft smoothly into the interval up to the limit."""
    over = np.maximum(values - (limit - soft), 0)
    return np.asarray(
        values - over - soft * np.expm1(-over / np.maximum(soft, np.finfo(np.float32).tiny)), np.float32
    )
