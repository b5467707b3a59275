"""The outline of a head, by its mesh and five landmarks: the part of a crop that is pasted into its photo.

In a noisy photo the pasted area is visible, because its noise is gone. It is therefore limited to the head
with hair and neck, with some room, and has a wide soft border.
"""

from dataclasses import replace

import numpy as np

from runtime.faces.align import AlignedFace, resizing
from runtime.faces.contours import soft_outlines
from runtime.faces.ellipsoids import HEAD, Ellipsoid, cover, head_pose
from runtime.faces.mesh import OVAL
from runtime.faces.regions import GRID, crop_landmarks, enlarged
from runtime.pixels import Map

NECK = Ellipsoid("other", "eyes", (0.0, 1.75, -0.80), (0.62, 0.75, 0.62))
OUTLINE = ("hair", "ear", "cheek", "forehead")
"""The regions from which the outline of a head is built."""

GENEROUS = 0.12
"""How far the outline extends beyond the skull, for hair and beard, in face units."""
BORDER = 0.50
"""Width of its border, half of it outside, in face units."""


def head_shape(aligned: AlignedFace) -> Map:
    """Return the degree to which each pixel of a crop belongs to the head, S×S: 1 well inside, 0 well
    outside."""
    size = len(aligned.crop)
    grid = min(size, GRID)
    pose = head_pose((crop_landmarks(aligned) + 0.5) * (grid / size) - 0.5)
    outside = np.ones((grid, grid), np.float32)
    for part in (*(part for part in HEAD if part.region in OUTLINE), NECK):
        (rows, columns), inside = cover(_grown(part), pose, grid, softness=BORDER)
        outside[rows, columns] *= 1 - inside
    if aligned.mesh:
        mesh = aligned.mesh.moved(resizing(grid / size, grid / size))
        outside *= 1 - soft_outlines(mesh, (OVAL,), grid, GENEROUS * pose.unit, BORDER * pose.unit)
    return enlarged(1 - outside, size)


def _grown(part: Ellipsoid) -> Ellipsoid:
    x, y, z = part.radii
    return replace(part, radii=(x + GENEROUS, y + GENEROUS, z + GENEROUS))
