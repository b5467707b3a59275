"""The close-up of a face, in which it is recognised and its sharpness judged."""

import numpy as np
from numpy.typing import ArrayLike

from runtime.faces.align import cut_quickly, inverted, similarity
from runtime.pixels import Crop, Pixels

SIDE = 150
"""Side of a close-up in pixels. A face with fewer photo pixels is enlarged, and blurred for it."""
PADDING = 0.25
"""Width of the border around the landmarks, as a share of their extent."""
MEAN_FACE = np.array(
    [(0.2255, 0.2160), (0.7548, 0.2160), (0.4901, 0.5156), (0.2541, 0.7802), (0.7261, 0.7802)], np.float64
)
"""Eyes, tip of the nose and mouth corners in dlib's mean face (dlib/image_transforms/interpolation.h), which
is one unit wide from brow to brow."""
POINTS = (MEAN_FACE + PADDING) / (1 + 2 * PADDING)
"""Where they lie in a close-up of side 1: dlib's `get_face_chip_details`."""


def cut_close_up(photo: Pixels, landmarks: ArrayLike) -> Crop:
    """Return the close-up of a face, 150×150×3 in [0, 1], from brows to chin.

    photo      H×W×3 uint8 or uint16 RGB
    landmarks  5×2, (x, y) in photo pixels

    Raises PhotoError if the landmarks coincide.
    """
    return cut_quickly(photo, inverted(similarity(landmarks, POINTS * SIDE)), SIDE)
