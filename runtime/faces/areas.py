"""Areas of a face on a small grid: grown, closed, softened, and named by the regions that they cover."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.regions import FACE
from runtime.pixels import Map

Area = NDArray[np.bool_]
"""G×G."""
TELLING = 0.15
"""Share of an area that must lie in a region for the region to be named."""


def disc(radius: float) -> NDArray[np.uint8]:
    """Return a disc of a radius of at least one pixel, as OpenCV's morphology takes it."""
    wide = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)), np.uint8)


def square_inside(shape: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the largest square inside a disc; OpenCV takes little time for squares of any size."""
    middle = len(shape) // 2
    diagonal = shape.diagonal()[middle:]
    half = int(np.count_nonzero(diagonal)) - 1
    return np.ones((2 * half + 1, 2 * half + 1), np.uint8)


def grown(area: Area, radius: float) -> Area:
    """Return an area grown by a radius."""
    return cv2.dilate(area.astype(np.uint8), disc(radius)) > 0


def closed(area: Area, radius: float) -> Area:
    """Return an area with its gaps closed."""
    return ~grown(~grown(area, radius), radius)


def blurred(area: Area, sigma: float) -> Map:
    """Return an area as a map that falls from 1 to 0 at its edge."""
    return np.asarray(cv2.GaussianBlur(area.astype(np.float32), (0, 0), sigma), np.float32)


def softened(area: Area, radius: float, sigma: float) -> Map:
    """Return 1 in an area, falling to 0 around it; the middle of the edge is a radius away."""
    return np.maximum(blurred(grown(area, radius), sigma), area.astype(np.float32))


def regions_of(area: Area, masks: Mapping[str, Map]) -> tuple[str, ...]:
    """Return the regions with most of an area, largest first; at least one.

    masks  of the regions in FACE
    """
    parts = {region: float((mask * area).sum()) for region, mask in masks.items()}
    most, total = sorted(FACE, key=lambda region: -parts[region]), sum(parts.values())
    return tuple(region for region in most if parts[region] > TELLING * total) or (most[0],)
