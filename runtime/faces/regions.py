"""Regions of a face: where eyes, lips or hair lie in a crop, and how strongly each may be restored.

The parts of a head are painted into the crop with soft edges, farthest first, so the regions cover each pixel
exactly once. They follow the contours of the face's mesh (`contours`); where none was found, they are
ellipsoids attached to the five landmarks (`ellipsoids`).

If a face-parsing network has segmented the face (`runtime/faces/parsing.py`), its masks are used instead.
"""

from collections.abc import Mapping
from numbers import Real

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from base.errors import SettingsError
from base.text import one_line
from runtime.faces.align import AlignedFace, inverted, resizing
from runtime.faces.contours import painted, painted_contours
from runtime.faces.ellipsoids import HEAD, cover, head_pose
from runtime.pixels import Map, smoothstep

REGIONS = ("eye", "brow", "nose", "lip", "cheek", "forehead", "ear", "hair", "other")
"""The regions; each pixel is divided among them.

`eye` includes the lids and lashes, `nose` its wings; `cheek` is all skin of the lower face, with chin and
jaw; `forehead` includes the temples; `hair` is the skull outside the face, `other` neck, clothes and
background.
"""
FACE = ("eye", "brow", "nose", "lip", "cheek", "forehead")
"""The regions of the face proper."""
WEIGHT_NAMES = (*REGIONS, "edge", "face")
"""Names that take a weight: a region, strong edges in any region, or all regions at once."""
WEIGHT_RANGE = (0.0, 2.0)

ONE_HOT = dict(zip(REGIONS, np.eye(len(REGIONS), dtype=np.float32), strict=True))
GRID = 256  # resolution of the maps, in pixels per side; a larger crop gets them enlarged
EDGE_BLUR = 1.0  # standard deviation in pixels of the grid: smooths grain
EDGE_LEAST = 0.02  # smallest change of brightness between neighbouring grid pixels at a strong edge
EDGE_OVER_MEDIAN = 3.0  # and the smallest multiple of the crop's median change, so that grain does not count


def region_masks(landmarks: ArrayLike, size: int) -> dict[str, Map]:
    """Return each region's share of each pixel: a mask in [0, 1] for each of REGIONS; their sum is 1.

    landmarks  5×2, (x, y) in crop pixels
    size       S, the side of the crop
    """
    return _divided(_painted(landmarks, size, ONE_HOT), size)


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
        rho = enlarged(_painted_face(aligned, values)[0], size)
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
    """Return the region masks of a face, by the face-parsing network, the mesh, or the landmarks."""
    if aligned.parsed:
        return aligned.parsed.regions
    return _divided(_painted_face(aligned, ONE_HOT), len(aligned.crop))


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
    if not isinstance(weights, Mapping):
        raise SettingsError(f"face_mask_weights is {one_line(repr(weights))}: give a weight for each region")
    low, high = WEIGHT_RANGE
    for name, weight in weights.items():
        if name not in WEIGHT_NAMES:
            raise SettingsError(
                f"there is no face region {one_line(str(name))!r}: give weights for {', '.join(WEIGHT_NAMES)}"
            )
        if isinstance(weight, bool) or not (isinstance(weight, Real) and low <= weight <= high):
            raise SettingsError(
                f"the weight of {name} is {weight!r}: give {low:g}, which keeps the photo, to {high:g};"
                " larger weights would detach the region from its surroundings (1 is neutral)"
            )


def _divided(painted: NDArray[np.float32], size: int) -> dict[str, Map]:
    return {region: enlarged(mask, size) for region, mask in zip(REGIONS, painted, strict=True)}


def _painted_face(aligned: AlignedFace, colours: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Paint the head of a face: by its mesh, if it has one, otherwise by the landmarks."""
    size = len(aligned.crop)
    if aligned.mesh is None:
        return _painted(crop_landmarks(aligned), size, colours)
    grid = min(size, GRID)
    return painted_contours(aligned.mesh.moved(resizing(grid / size, grid / size)), grid, colours)


def _painted(
    landmarks: ArrayLike, size: int, colours: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Paint the head over `other`, in C values per region: C×G×G with G at most GRID."""
    grid = min(size, GRID)
    pose = head_pose((np.asarray(landmarks, np.float64) + 0.5) * (grid / size) - 0.5)
    return painted([(part.region, *cover(part, pose, grid)) for part in HEAD], grid, colours)


def enlarged(picture: Map, size: int) -> Map:
    """Enlarge a G×G map to S×S: all maps of a crop are computed at GRID or less."""
    if len(picture) == size:
        return picture
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
