"""The shape of a head, as far as five landmarks tell it: what of a crop is pasted into its photo.

A noisy photo shows what was pasted: its noise is gone there. So it is no more than the head with hair and
neck, generously, and it ends over a wide border.
"""

from dataclasses import replace

import numpy as np

from runtime.faces.align import AlignedFace
from runtime.faces.regions import GRID, HEAD, Ellipsoid, cover, crop_landmarks, enlarged, head_pose
from runtime.pixels import Map

NECK = Ellipsoid("other", "eyes", (0.0, 1.75, -0.80), (0.62, 0.75, 0.62))
OUTLINE = ("hair", "ear", "cheek", "forehead")
"""The regions that the outline of a head is made of."""

GENEROUS = 0.12
"""How far the shape reaches beyond the skull, for hair and beard, in face units."""
BORDER = 0.50
"""Width of its border, half of it outside, in face units."""


def head_shape(aligned: AlignedFace) -> Map:
    """Return how far a pixel of a crop belongs to the head, S×S: 1 well inside, 0 well outside of it."""
    size = len(aligned.crop)
    grid = min(size, GRID)
    pose = head_pose((crop_landmarks(aligned) + 0.5) * (grid / size) - 0.5)
    outside = np.ones((grid, grid), np.float32)
    for part in (*(part for part in HEAD if part.region in OUTLINE), NECK):
        rows, columns, inside = cover(_grown(part), pose, grid, softness=BORDER)
        outside[rows, columns] *= 1 - inside
    return enlarged(1 - outside, size)


def _grown(part: Ellipsoid) -> Ellipsoid:
    x, y, z = part.radii
    return replace(part, radii=(x + GENEROUS, y + GENEROUS, z + GENEROUS))
