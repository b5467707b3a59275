"""Where the strongest edges of a picture are, apart from what covers the face."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Map, Picture, sum_of_channels

EDGES = 0.2
"""Share of the face that counts as edges."""

BESIDE = 9
"""Side of the square around a pixel whose edge is measured; none of it may lie on what covers the face."""


def power_around(band: Picture) -> Map:
    """Return the power of a band around each pixel, H×W."""
    return np.asarray(cv2.blur(sum_of_channels(band * band), (5, 5)), np.float32)


def strongest(power: Map, cover: Map | None) -> NDArray[np.bool_]:
    """Return where a picture has the most power, H×W, apart from what covers the face.

    cover  H×W in [0, 1]
    """
    shown = np.ones(power.shape, bool)
    if cover is not None:
        shown = cv2.dilate(cover, np.ones((BESIDE, BESIDE))) == 0
    if not shown.any():
        return shown
    return np.asarray(shown & (power >= np.quantile(power[shown], 1 - EDGES)))
