"""A face detected in a photo."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Face:
    """The position of a face, in photo pixels."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1: left, top, right and bottom edge, inside the photo."""

    landmarks: NDArray[np.float32]
    """5×2, (x, y): left eye, right eye, nose, left and right mouth corner; left as seen in the upright face.
    """

    score: float
    """The detector's confidence, from 0 to 1."""

    @property
    def width(self) -> float:
        """Return the width of the box in photo pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Return the height of the box in photo pixels."""
        return self.box[3] - self.box[1]
