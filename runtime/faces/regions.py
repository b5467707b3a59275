"""Regions of a face: where eyes, lips or hair lie in a crop, and how strongly each may be restored.

The head is modelled by a few ellipsoids attached to the five landmarks. They are turned by the nose's offset
from the middle of the face, and painted into the crop with soft edges, farthest first. So the regions cover
each pixel exactly once, and in a half-profile the far cheek and ear shrink as they do in reality.

If a face-parsing network has segmented the face (`runtime/faces/parsing.py`), its masks are used instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from base.errors import SettingsError
from base.text import one_line
from runtime.faces.align import AlignedFace, inverted
from runtime.pixels import Map, smoothstep

REGIONS = ("eye", "brow", "nose", "lip", "cheek", "forehead", "ear", "hair", "other")
"""The regions; each pixel is divided among them.

`eye` includes the lids and lashes, `nose` its wings; `cheek` is all skin of the lower face, with chin and
jaw; `forehead` includes the temples; `hair` is the skull outside the face, `other` neck, clothes and
background.
"""
WEIGHT_NAMES = (*REGIONS, "edge", "face")
"""Names that take a weight: a region, strong edges in any region, or all regions at once."""
WEIGHT_RANGE = (0.0, 2.0)


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

GRID = 256  # resolution of the maps, in pixels per side; a larger crop gets them enlarged
EDGE_BLUR = 1.0  # standard deviation in pixels of the grid: smooths grain
EDGE_LEAST = 0.02  # smallest change of brightness between neighbouring grid pixels at a strong edge
EDGE_OVER_MEDIAN = 3.0  # and the smallest multiple of the crop's median change, so that grain does not count


def region_masks(landmarks: ArrayLike, size: int) -> dict[str, Map]:
    """Return each region's share of each pixel: a mask in [0, 1] for each of REGIONS; their sum is 1.

    landmarks  5×2, (x, y) in crop pixels
    size       S, the side of the crop
    """
    one_hot = dict(zip(REGIONS, np.eye(len(REGIONS), dtype=np.float32), strict=True))
    masks = zip(REGIONS, _painted(landmarks, size, one_hot), strict=True)
    return {region: enlarged(mask, size) for region, mask in masks}


def region_weights(aligned: AlignedFace, weights: Mapping[str, float]) -> Map:
    """Return ρ ≥ 0, how strongly each pixel follows the restoration: 1 is neutral, 0 keeps the photo.

    It is Σ weight · mask over the regions, times the weight of `edge` along strong edges. It is exactly 1
    where all weights are 1, and exactly 0 where a region of weight 0 fills the pixel.

    weights  by name, checked by `check_weights`; an unnamed region gets the weight of `face`, otherwise 1
    """
    values = {name: np.array([weights.get(name, weights.get("face", 1.0))], np.float32) for name in REGIONS}
    size = len(aligned.crop)
    everywhere = values["other"]
    if all(weight == everywhere for weight in values.values()):
        rho = np.full((size, size), everywhere, np.float32)
    elif aligned.parsed:
        masks = aligned.parsed.regions.items()
        rho = np.asarray(np.sum([values[name] * mask for name, mask in masks], axis=0), np.float32)
    else:
        rho = enlarged(_painted(crop_landmarks(aligned), size, values)[0], size)
    edge = weights.get("edge", 1.0)
    return rho if edge == 1 else rho * (1 + edge_mask(aligned.crop) * np.float32(edge - 1))


def edge_mask(crop: NDArray[np.float32]) -> Map:
    """Return 1 along strong edges and 0 on flat skin, with a smooth transition.

    crop  S×S×3 in [0, 1], RGB
    """
    size = len(crop)
    small = cv2.resize(crop, (GRID, GRID), interpolation=cv2.INTER_AREA) if size > GRID else crop
    smooth = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (0, 0), EDGE_BLUR)
    slope_x, slope_y = (cv2.Scharr(smooth, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    slope = np.hypot(slope_x, slope_y)
    weak = max(EDGE_LEAST, EDGE_OVER_MEDIAN * float(np.median(slope)))
    return enlarged(smoothstep(slope / weak - 1), size)


def region_masks_of(aligned: AlignedFace) -> dict[str, Map]:
    """Return the region masks of a face: the face-parsing network's, otherwise those of the landmarks."""
    if aligned.parsed:
        return aligned.parsed.regions
    return region_masks(crop_landmarks(aligned), len(aligned.crop))


def crop_landmarks(aligned: AlignedFace) -> NDArray[np.float64]:
    """Return a face's five landmarks in crop pixels: 5×2, (x, y)."""
    to_crop = inverted(aligned.to_photo)
    return np.asarray(aligned.face.landmarks @ to_crop[:, :2].T + to_crop[:, 2], np.float64)


def parse_weights(text: str) -> dict[str, float]:
    """Parse `eye=1.3,lip=1.3` from the command line. Raises SettingsError."""
    weights: dict[str, float] = {}
    for item in text.split(","):
        name, _, number = item.partition("=")
        name = name.strip()
        try:
            value = float(number)
        except ValueError:
            raise SettingsError(
                f"weight {one_line(item)!r} cannot be read: give name=number, such as eye=1.3,lip=1.3"
            ) from None
        if name in weights:
            raise SettingsError(f"two weights are given for {one_line(name)}: give one")
        weights[name] = value
    check_weights(weights)
    return weights


def check_weights(weights: Mapping[str, float]) -> None:
    """Raise SettingsError unless every name is known and every weight is a number from 0 to 2."""
    low, high = WEIGHT_RANGE
    for name, weight in weights.items():
        if name not in WEIGHT_NAMES:
            raise SettingsError(
                f"there is no face region {one_line(str(name))!r}: give weights for {', '.join(WEIGHT_NAMES)}"
            )
        if isinstance(weight, bool) or not (isinstance(weight, (int, float)) and low <= weight <= high):
            raise SettingsError(
                f"the weight of {name} is {weight!r}: give {low:g}, which keeps the photo, to {high:g};"
                " larger weights would detach the region from its surroundings (1 is neutral)"
            )


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


def _painted(
    landmarks: ArrayLike, size: int, colours: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Paint the head over `other`, in C values per region: C×G×G with G at most GRID."""
    grid = min(size, GRID)
    pose = head_pose((np.asarray(landmarks, np.float64) + 0.5) * (grid / size) - 0.5)
    canvas = np.tile(colours["other"][:, None, None], (1, grid, grid))
    for part in HEAD:
        rows, columns, covered = cover(part, pose, grid)
        under = canvas[:, rows, columns]
        under += covered * (colours[part.region][:, None, None] - under)
    return canvas


def enlarged(picture: Map, size: int) -> Map:
    """Enlarge a G×G map to S×S: all maps of a crop are computed at GRID or less."""
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def cover(part: Ellipsoid, pose: Pose, size: int, *, softness: float = SOFTNESS) -> tuple[slice, slice, Map]:
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
    return slice(y0, y1), slice(x0, x1), smoothstep(depth / softness + 0.5)
