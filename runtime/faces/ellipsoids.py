"""A head as a few ellipsoids, attached to the five landmarks of its face.

They are turned by the nose's offset from the middle of the face, so that in a half-profile the far cheek and
ear shrink as they do in reality.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.pixels import Map, smoothstep


@dataclass(frozen=True)
class Ellipsoid:
    """A part of the head when the face looks into the camera.

    Lengths are in face units: 1 is the distance from the eyes to the mouth, about 7 cm.
    """

    region: str
    anchor: str
    """The point it is attached to: one of those that `head_pose` names."""
    centre: tuple[float, float, float]
    """Offset from the anchor: to the right in the picture, down, towards the viewer."""
    radii: tuple[float, float, float]
    """Along the same directions."""
    tilt: float = 0.0
    """Degrees, clockwise in the picture."""


def _pair(right: Ellipsoid) -> tuple[Ellipsoid, Ellipsoid]:
    """Return a part on the right side of the picture and its mirror image on the left."""
    x, y, z = right.centre
    left = replace(right, anchor=right.anchor.replace("right", "left"), centre=(-x, y, z), tilt=-right.tilt)
    return right, left


# Estimated by eye on portraits; each part covers those above it in the table.
HEAD = (
    Ellipsoid("hair", "eyes", (0.0, -0.40, -0.90), (1.18, 1.22, 1.35)),
    *_pair(Ellipsoid("ear", "eyes", (1.00, 0.26, -0.95), (0.17, 0.40, 0.28))),
    Ellipsoid("cheek", "eyes", (0.0, 0.44, -0.50), (0.92, 1.12, 0.80)),
    Ellipsoid("forehead", "eyes", (0.0, -0.45, -0.45), (0.88, 0.50, 0.65)),
    Ellipsoid("nose", "bridge", (0.0, -0.05, 0.0), (0.15, 0.32, 0.10)),
    Ellipsoid("nose", "nose", (0.0, 0.0, -0.10), (0.27, 0.18, 0.20)),
    *_pair(Ellipsoid("lip", "right of mouth", (-0.02, 0.0, 0.0), (0.11, 0.11, 0.11))),
    Ellipsoid("lip", "mouth", (0.0, 0.04, 0.0), (0.38, 0.19, 0.10)),
    *_pair(Ellipsoid("brow", "right eye", (0.03, -0.27, 0.0), (0.34, 0.12, 0.10), tilt=7)),
    *_pair(Ellipsoid("eye", "right eye", (0.0, 0.0, 0.0), (0.26, 0.15, 0.10))),
)

SOFTNESS = 0.07  # width of the soft edges in face units: 3.5 % of the face
EYES_APART = 0.867  # in face units, both templates
NOSE_LENGTH = 0.42  # how far the tip protrudes from the plane of eyes and mouth, in face units
MOST_TURNED = 0.9  # sine of the yaw; beyond it one eye is hidden and landmarks are guesses


@dataclass(frozen=True, eq=False)
class Pose:
    """The pose of a head in the crop."""

    anchors: dict[str, NDArray[np.float64]]
    right: NDArray[np.float64]
    """The direction across the face, to the right in the picture; length 1."""
    unit: float
    """A face unit in pixels."""
    turn: float
    """Sine of the yaw; positive when the nose points to the right in the picture."""


def head_pose(landmarks: ArrayLike) -> Pose:
    """Return the pose of a head with these five landmarks: 5×2, (x, y) in pixels of the picture."""
    left_eye, right_eye, nose, left_corner, right_corner = np.asarray(landmarks, np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_corner + right_corner) / 2
    across, (down_x, down_y) = right_eye - left_eye, mouth - eyes
    # The line between the eyes, or the one down to the mouth turned by 90°: the longer is more reliable.
    right = across + np.array([down_y, -down_x])
    right /= np.hypot(*right)
    # Turning the head brings the eyes together, nodding eyes and mouth: the longer distance is more reliable.
    unit = float(max(np.hypot(down_x, down_y), np.hypot(*across) / EYES_APART))
    turn = float((nose - (eyes + mouth) / 2) @ right) / (NOSE_LENGTH * unit)
    anchors = {
        "eyes": eyes,
        "left eye": left_eye,
        "right eye": right_eye,
        "bridge": (eyes + nose) / 2,
        "nose": nose,
        "mouth": mouth,
        "left of mouth": left_corner,
        "right of mouth": right_corner,
    }
    return Pose(anchors, right, unit, float(np.clip(turn, -MOST_TURNED, MOST_TURNED)))


def cover(
    part: Ellipsoid, pose: Pose, size: int, *, softness: float = SOFTNESS
) -> tuple[tuple[slice, slice], Map]:
    """Return the rows and columns that contain a part of the head, and its coverage of each pixel there.

    softness  width of its soft edge, in face units
    """
    x, y, z = part.centre
    radius_x, radius_y, radius_z = part.radii
    cosine = np.sqrt(1 - pose.turn**2)
    right, down = pose.right, np.array([-pose.right[1], pose.right[0]])
    centre = pose.anchors[part.anchor] + pose.unit * ((x * cosine + z * pose.turn) * right + y * down)
    wide, high = float(np.hypot(radius_x * cosine, radius_z * pose.turn)), radius_y
    axis = np.cos(np.deg2rad(part.tilt)) * right + np.sin(np.deg2rad(part.tilt)) * down

    reach = pose.unit * (np.hypot(axis * wide, axis[::-1] * high) + softness)
    ends = np.floor([centre - reach, centre + reach + 1]).clip(0, size).astype(int)
    (x0, y0), (x1, y1) = ends.tolist()
    pixel_x = ((np.arange(x0, x1) - centre[0]) / pose.unit).astype(np.float32)
    pixel_y = ((np.arange(y0, y1)[:, None] - centre[1]) / pose.unit).astype(np.float32)
    axis_x, axis_y = axis.tolist()
    a = (pixel_x * axis_x + pixel_y * axis_y) / wide
    b = (pixel_y * axis_x - pixel_x * axis_y) / high
    # Depth inside the ellipse a² + b² = 1, to first order: its equation over the length of its gradient.
    depth = (1 - a * a - b * b) / (2 * np.sqrt((a / wide) ** 2 + (b / high) ** 2) + 1e-6)
    return np.s_[y0:y1, x0:x1], smoothstep(depth / softness + 0.5)
