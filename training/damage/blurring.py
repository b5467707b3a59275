"""Blur: round, directional, by movement, and varying across the picture."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
"""H×W×3, RGB, levels in [0, 255]."""

REACH = 3.0
"""Extent of a kernel in standard deviations."""
LEAST = 0.1
"""Standard deviation in pixels below which a Gaussian changes nothing that is visible in 8 bits."""


@dataclass(frozen=True)
class Blur:
    """A Gaussian followed by a movement in a straight line; lengths in pixels of the picture."""

    along: float
    """Standard deviation along the angle."""
    across: float
    """Standard deviation across it."""
    angle: float = 0.0
    """Radians, of the Gaussian's long axis and of the movement."""
    length: float = 0.0
    """Length of the movement; 0 is none."""

    def scaled(self, factor: float) -> "Blur":
        """Return the same blur for a picture that is larger by a factor."""
        return Blur(self.along * factor, self.across * factor, self.angle, self.length * factor)


def blur(picture: Picture, amount: Blur) -> Picture:
    """Return a blurred picture; it is mirrored beyond the edge."""
    if max(amount.along, amount.across) < LEAST and amount.length < 1:
        return picture
    if amount.along == amount.across and amount.length < 1:
        return np.asarray(
            cv2.GaussianBlur(picture, (0, 0), amount.along, borderType=cv2.BORDER_REFLECT_101), np.float32
        )
    kernel = _kernel(amount)
    return np.asarray(cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _kernel(amount: Blur) -> NDArray[np.float32]:
    """Return the kernel of a directional blur, with sum 1: a Gaussian, averaged along the movement."""
    # Narrower ones would fall between the pixels.
    along, across = max(amount.along, 0.35), max(amount.across, 0.35)
    radius = max(1, math.ceil(REACH * max(along, across) + amount.length / 2))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    u = math.cos(amount.angle) * x + math.sin(amount.angle) * y
    v = math.cos(amount.angle) * y - math.sin(amount.angle) * x
    places = np.linspace(-amount.length / 2, amount.length / 2, max(1, math.ceil(2 * amount.length)))
    spread = sum(np.exp(-(((u - place) / along) ** 2) / 2) for place in places)
    kernel = np.asarray(spread * np.exp(-((v / across) ** 2) / 2), np.float32)
    return np.asarray(kernel / kernel.sum(), np.float32)
