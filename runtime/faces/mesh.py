"""A mesh of 468 points on a face, its contours, and what they say about pose and lids.

Points are numbered as in MediaPipe's canonical face model. Left and right are those of the upright picture.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Matrix

LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""Points of the lids' edges, in order, from the outer corner along the lower lid."""
LEFT_LID = (130, 25, 110, 24, 23, 22, 26, 112, 243, 190, 56, 28, 27, 29, 30, 247)
RIGHT_LID = (359, 255, 339, 254, 253, 252, 256, 341, 463, 414, 286, 258, 257, 259, 260, 467)
"""The ring around each eye that includes lids and lashes."""
LEFT_BROW = (46, 53, 52, 65, 55, 107, 66, 105, 63, 70)
RIGHT_BROW = (276, 283, 282, 295, 285, 336, 296, 334, 293, 300)
LEFT_OVER_EYE = (70, 63, 105, 66, 107, 55, 190, 56, 28, 27, 29, 30, 247, 46)
RIGHT_OVER_EYE = (300, 293, 334, 296, 336, 285, 414, 286, 258, 257, 259, 260, 467, 276)
"""From the upper edge of each brow down to the lid's crease, the range in which brows lie."""
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
NOSE = (168, 122, 174, 198, 209, 129, 64, 98, 97, 2, 326, 327, 294, 358, 429, 420, 399, 351)
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
FOREHEAD = (127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 263, 168, 33)
"""Outlines, in order. The numbers are those of MediaPipe's canonical face model."""
FIVE = (LEFT_EYE, RIGHT_EYE, (1, 4), (61,), (291,))
"""The points whose means are the five landmarks of a detector."""
CLOSED = 0.15
"""Eyes that are open by no more than this count as closed. Of 72 open eyes in portraits the narrowest had
0.19."""
LEFT_LIDS, RIGHT_LIDS = ((160, 144), (158, 153)), ((387, 373), (385, 380))
"""Pairs of points on the upper and the lower lid."""


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """A mesh on a face."""

    points: NDArray[np.float64]
    """468×3: (x, y) in pixels of the picture, and depth in the same unit; smaller is nearer to the viewer."""

    @property
    def landmarks(self) -> NDArray[np.float64]:
        """Return left eye, right eye, nose, left and right mouth corner, 5×2."""
        return np.array([self.outline(points).mean(axis=0) for points in FIVE])

    @property
    def yaw(self) -> float:
        """Return the yaw of the head in degrees; positive to the right in the picture."""
        across = self.points[454] - self.points[234]
        return math.degrees(math.atan2(across[2], np.hypot(across[0], across[1])))

    @property
    def openings(self) -> tuple[float, float]:
        """Return how far the left and the right eye are open: the lids' distance over the eye's width."""
        left, right = (
            np.mean([self._distance(*pair) for pair in pairs]) / max(self._distance(*corners), 1e-9)
            for pairs, corners in ((LEFT_LIDS, (33, 133)), (RIGHT_LIDS, (362, 263)))
        )
        return float(left), float(right)

    def outline(self, points: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the positions of some points: N×2."""
        return self.points[list(points), :2]

    def moved(self, matrix: Matrix) -> "FaceMesh":
        """Return the mesh after a similarity of the picture, 2×3."""
        flat = self.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return FaceMesh(np.column_stack([flat, np.hypot(*matrix[:, 0]) * self.points[:, 2]]))

    def _distance(self, one: int, other: int) -> float:
        return float(np.linalg.norm(self.points[one] - self.points[other]))
