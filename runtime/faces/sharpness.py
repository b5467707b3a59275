"""How sharp a photo shows a face, whatever the size of the face in it."""

import cv2
import numpy as np

from runtime.faces.close_up import cut_close_up
from runtime.faces.face import Face
from runtime.pixels import Crop, Pixels

MIDDLE = slice(22, 128)
"""The part of the close-up that certainly shows the face, along both axes."""
FINE, COARSE = 1.0, 3.16
"""σ of the two Gaussian blurs whose steepest edges are compared; the first keeps noise out."""
STRONG = 0.97
"""The quantile of the slopes that stands for the face's edges: lids, brows, nostrils, lips."""
BLURRED, SHARP = 1.1, 2.3
"""Ratio of the slopes in a face without any detail, and in a studio portrait of full sharpness.

In portraits of 512 pixels it is 2.38 undamaged; 2.03, 1.61 and 1.26 blurred with σ = 2, 4 and 8; 2.28 with
noise of σ = 25 levels.
"""


def face_sharpness(photo: Pixels, face: Face) -> float:
    """Return the sharpness of a face, 0 without detail to 1 as sharp as a studio portrait 150 pixels wide.

    It compares the steepest edges with those of a blurred copy, so neither contrast nor light counts, and
    noise hardly.
    """
    return close_up_sharpness(cut_close_up(photo, face.landmarks))


def close_up_sharpness(close_up: Crop) -> float:
    """Return the sharpness of a face in its close-up; see `face_sharpness`."""
    grey = cv2.GaussianBlur(cv2.cvtColor(close_up, cv2.COLOR_RGB2GRAY), (0, 0), FINE)
    coarse = cv2.GaussianBlur(grey, (0, 0), (COARSE**2 - FINE**2) ** 0.5)
    fine_slope, coarse_slope = (_steepest(picture) for picture in (grey, coarse))
    if coarse_slope == 0:
        return 0.0
    return float(np.clip((fine_slope / coarse_slope - BLURRED) / (SHARP - BLURRED), 0, 1))


def _steepest(grey: cv2.typing.MatLike) -> float:
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *axis)[MIDDLE, MIDDLE] for axis in ((1, 0), (0, 1)))
    return float(np.quantile(np.hypot(across, down), STRONG))
