"""Regions of a face that follow the contours of its mesh.

Eyes, brows, lips, nose, forehead and cheeks are polygons of the mesh, with soft edges. The mesh ends at the
face's outline; ears and skull are the ellipsoids of `ellipsoids`, in the pose of the mesh.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces import mesh
from runtime.faces.ellipsoids import HEAD, SOFTNESS, cover, head_pose
from runtime.faces.mesh import FaceMesh
from runtime.pixels import Map

CONTOURS = (
    ("cheek", (mesh.OVAL,), 0.04),
    ("forehead", (mesh.FOREHEAD,), 0.04),
    ("nose", (mesh.NOSE,), 0.02),
    ("lip", (mesh.LIPS,), 0.03),
    ("eye", (mesh.LEFT_LID, mesh.RIGHT_LID), 0.05),
    ("brow", (mesh.LEFT_OVER_EYE, mesh.RIGHT_OVER_EYE), 0.055),
    ("eye", (mesh.LEFT_EYE, mesh.RIGHT_EYE), 0.01),
)
"""Region, outlines, and how far the region extends beyond them, in face units; each covers those above it."""
EDGE = 0.3  # σ of a blur over the width of the edge that it makes
REACH = 4.5  # σ at which OpenCV's Gaussian kernels end, and a little more
SUBPIXELS = 4  # bits of the fraction of a pixel in polygons

Layer: TypeAlias = tuple[str, tuple[slice, slice], Map]
"""A region, the rows and columns outside which nothing is covered, and the coverage inside."""


def painted_contours(
    face: FaceMesh, grid: int, colours: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Paint a head over `other`, in C values per region: C×G×G.

    face  in pixels of the grid
    """
    pose = head_pose(face.landmarks)
    head = [(part.region, *cover(part, pose, grid)) for part in HEAD if part.region in ("hair", "ear")]
    contours = [
        (region, *_soft_area(face, outlines, grid, grown * pose.unit, SOFTNESS * pose.unit))
        for region, outlines, grown in CONTOURS
    ]
    return painted(head + contours, grid, colours)


def painted(
    layers: Sequence[Layer], grid: int, colours: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Paint layers over `other`, each over those before it, in C values per region: C×G×G."""
    canvas = np.zeros((len(colours["other"]), grid, grid), np.float32)
    uncovered = np.ones((grid, grid), np.float32)
    for region, window, covered in reversed(layers):
        share = uncovered[window] * covered
        uncovered[window] -= share
        for plane, value in zip(canvas, colours[region], strict=True):
            if value:
                plane[window] += value * share
    for plane, value in zip(canvas, colours["other"], strict=True):
        if value:
            plane += value * uncovered
    return canvas


def soft_outlines(
    face: FaceMesh, outlines: tuple[tuple[int, ...], ...], grid: int, grown: float, softness: float
) -> Map:
    """Return the coverage of each pixel by some outlines of a mesh: G×G in [0, 1].

    face      in pixels of the grid
    grown     how far the area extends beyond them, in pixels
    softness  width of the soft edge, in pixels
    """
    whole = np.zeros((grid, grid), np.float32)
    window, covered = _soft_area(face, outlines, grid, grown, softness)
    whole[window] = covered
    return whole


def _soft_area(
    face: FaceMesh, outlines: tuple[tuple[int, ...], ...], grid: int, grown: float, softness: float
) -> tuple[tuple[slice, slice], Map]:
    """Return the rows and columns outside which nothing is covered, and the coverage inside."""
    polygons = [face.outline(points).clip(-grid, 2 * grid) for points in outlines]
    sigma = EDGE * max(softness, 1)
    margin = math.ceil(grown + REACH * sigma) + 2
    corners = np.concatenate(polygons)
    x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin, 0, grid).tolist()
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, 0, grid).tolist()
    window = np.s_[y0:y1, x0:x1]
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    if not inside.size:
        return window, inside.astype(np.float32)
    drawn = [np.rint((each - (x0, y0)) * (1 << SUBPIXELS)).astype(np.int32) for each in polygons]
    for polygon in drawn:
        cv2.fillPoly(inside, [polygon], 255, cv2.LINE_AA, SUBPIXELS)
    if wide := round(2 * grown):
        cv2.polylines(inside, drawn, True, 255, wide, cv2.LINE_AA, SUBPIXELS)
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), sigma)
    # A little more, so that the inside is exactly 1 in spite of rounding.
    return window, np.asarray(np.clip(soft / np.float32(254.9), 0, 1), np.float32)
