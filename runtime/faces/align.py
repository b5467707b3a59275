"""Cut a face out of a photo, upright and positioned as the network expects."""

import math
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from base.errors import PhotoError
from engines.package import Template
from runtime.faces.face import Face
from runtime.faces.mesh import FaceMesh
from runtime.faces.parsed import ParsedFace
from runtime.pixels import Matrix, Picture, Pixels, Rectangle, as_float

Level = TypeVar("Level", bound=np.integer | np.floating)

MIDDLE = (0.25, 0.8)
"""Start and end of the face along both axes, as shares of the crop's side."""
HARDLY_FINER = 0.25
"""Pictures up to this much finer than the result are interpolated directly: averaging two by two would take
four times as long and cost sharpness.
"""

TEMPLATES: dict[Template, NDArray[np.float64]] = {
    # GPEN, face_model/align_faces.py: the ArcFace points for a 96×112 crop, moved right, given a margin.
    "published": (
        np.array(
            [
                (30.29459953, 51.69630051),
                (65.53179932, 51.50139999),
                (48.02519989, 71.73660278),
                (33.54930115, 92.3655014),
                (62.72990036, 92.20410156),
            ]
        )
        + (8, 0)
        + 28
    )
    / 168,
    # The mean landmarks of FFHQ, from facexlib, utils/face_restoration_helper.py.
    "ffhq": np.array(
        [
            (192.98138, 239.94708),
            (318.90277, 240.1936),
            (256.63416, 314.01935),
            (201.26117, 371.41043),
            (313.08905, 371.15118),
        ]
    )
    / 512,
}
"""Positions of left eye, right eye, nose and mouth corners in a crop of size 1: 5×2, (x, y)."""


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face cut out of its photo."""

    face: Face

    crop: NDArray[np.float32]
    """S×S×3 in [0, 1], RGB."""

    to_photo: Matrix
    """2×3, crop → photo."""

    parsed: ParsedFace | None = None
    """What a face-parsing network sees in the crop, if it was run and its result is plausible."""

    mesh: FaceMesh | None = None
    """The mesh on the face, in crop pixels, if one was found."""

    @property
    def scale(self) -> float:
        """Return the width of a crop pixel in photo pixels."""
        return _scale(self.to_photo)


def align(photo: Pixels, face: Face, size: int, template: Template = "published") -> AlignedFace:
    """Cut a face out of the photo.

    photo  H×W×3 uint8 or uint16 RGB
    size   S, the side of the crop in pixels

    Raises PhotoError if the face's landmarks coincide.
    """
    to_photo = inverted(crop_matrix(face.landmarks, size, template))
    return AlignedFace(face, cut_out(photo, to_photo, size), to_photo)


def cut_out(
    photo: Pixels, to_photo: Matrix, size: int, *, border: int = cv2.BORDER_REFLECT
) -> NDArray[np.float32]:
    """Return the crop, S×S×3 in [0, 1], that a crop → photo matrix describes.

    Reads only the face's surroundings, so the cost does not depend on the photo's size.

    border  how the photo continues beyond its edge: one of OpenCV's BORDER_…; mirrored by default
    """
    region, to_region = pixels_around(photo, to_photo, size, finest=2)  # floats need memory for the crop only
    crop = warp(
        as_float(region),
        inverted(joined(to_region, to_photo)),
        (size, size),
        border=border,
    )
    return np.clip(crop, 0, 1)


def cut_quickly(
    photo: Pixels, to_photo: Matrix, size: int, *, border: int = cv2.BORDER_REFLECT
) -> NDArray[np.float32]:
    """Return the crop, S×S×3 in [0, 1], as a small network may see it: in half the time of `cut_out`.

    Where the photo is finer than the crop, whole numbers of its pixels are averaged first; what remains is
    interpolated in the photo's own levels.

    border  how the photo continues beyond its edge: one of OpenCV's BORDER_…; mirrored by default
    """
    x0, y0, x1, y1 = surroundings(to_photo, size, photo.shape)
    by = max(1, int(_scale(to_photo)))
    width, height = max(1, (x1 - x0) // by), max(1, (y1 - y0) // by)
    region: NDArray[np.integer] = photo[y0 : y0 + by * height, x0 : x0 + by * width]
    if by > 1:
        region = cast(Pixels, cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA))
    to_region = joined(resizing(1 / by, 1 / by), shift(-x0, -y0))
    to_crop = inverted(joined(to_region, to_photo))
    averaged = _scale(to_crop) * (1 + HARDLY_FINER) < 1  # bilinear is sharp enough for what is averaged
    how = cv2.INTER_LINEAR if averaged else cv2.INTER_CUBIC
    return as_float(warp(region, to_crop, (size, size), interpolation=how, border=border))


def pixels_around(photo: Pixels, to_photo: Matrix, size: int, *, finest: float) -> tuple[Pixels, Matrix]:
    """Return the pixels of a photo around a crop, and the photo → pixels matrix.

    finest  pixels per crop pixel at most: where the photo has more, they are averaged
    """
    x0, y0, x1, y1 = surroundings(to_photo, size, photo.shape)
    region: Pixels = photo[y0:y1, x0:x1]
    scale = _scale(to_photo)
    if scale > finest:
        width, height = (math.ceil(finest * side / scale) for side in (x1 - x0, y1 - y0))
        region = cast(Pixels, cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA))
    factors = region.shape[1] / (x1 - x0), region.shape[0] / (y1 - y0)
    return region, joined(resizing(*factors), shift(-x0, -y0))


def crop_matrix(landmarks: ArrayLike, size: int, template: Template = "published") -> Matrix:
    """Return the photo → crop similarity that brings five landmarks closest to the template.

    landmarks  5×2, (x, y) in photo pixels

    Raises PhotoError if the landmarks coincide, so that no similarity exists.
    """
    return similarity(landmarks, TEMPLATES[template] * size)


def similarity(landmarks: ArrayLike, points: NDArray[np.float64]) -> Matrix:
    """Return the similarity that brings five landmarks closest to five points, both 5×2.

    Least squares, without reflection: S. Umeyama, "Least-squares estimation of transformation parameters
    between two point patterns", IEEE PAMI 13(4), 1991, equations 40 to 43.

    Raises PhotoError if the landmarks coincide, so that no similarity exists.
    """
    x, y = np.asarray(landmarks, np.float64), points
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    variance_x = ((x - mean_x) ** 2).sum(axis=1).mean()
    covariance = (y - mean_y).T @ (x - mean_x) / len(x)
    if not (np.isfinite(covariance).all() and variance_x > 1e-6):
        raise PhotoError(
            f"a face cannot be aligned by the landmarks {x.round(1).tolist()}: they must lie apart"
        )
    U, D, Vt = np.linalg.svd(covariance)
    S = np.array([1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
    R = (U * S) @ Vt
    c = (D * S).sum() / variance_x
    if not c > 0:
        raise PhotoError(
            f"a face cannot be aligned by the landmarks {x.round(1).tolist()}: they are mirrored"
        )
    return np.column_stack([c * R, mean_y - c * R @ mean_x])


def scaled(aligned: AlignedFace, factor: float) -> AlignedFace:
    """Return the aligned face for the photo enlarged by a factor."""
    face, enlarging = aligned.face, resizing(factor, factor)
    x0, y0, x1, y1 = face.box
    larger = Face(
        (factor * x0, factor * y0, factor * x1, factor * y1),
        np.asarray(face.landmarks @ enlarging[:, :2].T + enlarging[:, 2], np.float32),
        face.score,
    )
    return replace(aligned, face=larger, to_photo=joined(enlarging, aligned.to_photo))


def warp(
    picture: NDArray[Level],
    matrix: Matrix,
    size: tuple[int, int],
    *,
    interpolation: int = cv2.INTER_CUBIC,
    border: int,
) -> NDArray[Level]:
    """Warp a picture by a similarity, averaging its pixels where it is finer than the result.

    matrix  picture → result
    size    width and height of the result
    border  how the picture continues beyond its edge: one of OpenCV's BORDER_…
    """
    width, height = size
    finer = max(1, math.ceil(1 / np.hypot(*matrix[:, 0]) - HARDLY_FINER))
    result = cv2.warpAffine(
        picture,
        joined(resizing(finer, finer), matrix),
        (finer * width, finer * height),
        flags=interpolation,
        borderMode=border,
    )
    if finer > 1:
        result = cv2.resize(result, size, interpolation=cv2.INTER_AREA)
    return cast(NDArray[Level], result)


def resizing(wide: float, high: float) -> Matrix:
    """Return the matrix of cv2.resize by two factors: the corner of the first pixel stays, not its centre."""
    return np.array([[wide, 0, (wide - 1) / 2], [0, high, (high - 1) / 2]])


def shift(x: float, y: float) -> Matrix:
    """Return the matrix of a translation by (x, y)."""
    return np.array([[1, 0, x], [0, 1, y]], np.float64)


def joined(second: Matrix, first: Matrix) -> Matrix:
    """Return the matrix that applies `first` and then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def inverted(matrix: Matrix) -> Matrix:
    """Return the inverse of a matrix."""
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def _scale(matrix: Matrix) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def bounds(to_photo: Matrix, size: int) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the whole photo pixels around a crop; they may lie outside the photo."""
    corners = np.array([(x, y, 1) for x in (-0.5, size - 0.5) for y in (-0.5, size - 0.5)]) @ to_photo.T
    x0, y0 = np.floor(corners.min(axis=0) + 0.5).astype(int).tolist()
    x1, y1 = np.ceil(corners.max(axis=0) + 0.5).astype(int).tolist()
    return x0, y0, x1, y1


def surroundings(to_photo: Matrix, size: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the photo pixels that a crop depends on, or of the nearest one outside."""
    height, width = shape[:2]
    x0, y0, x1, y1 = bounds(to_photo, size)
    # The interpolation also reads pixels beyond the edge.
    margin = 3 + 3 * math.ceil(np.hypot(*to_photo[:, 0]))
    x0, y0 = (min(max(0, low - margin), side - 1) for low, side in ((x0, width), (y0, height)))
    x1, y1 = (
        max(min(side, high + margin), low + 1) for high, side, low in ((x1, width, x0), (y1, height, y0))
    )
    return x0, y0, x1, y1


def face_rectangle(aligned: AlignedFace, photo_shape: tuple[int, ...]) -> Rectangle:
    """Return the part of the photo that a crop covers; x1 ≤ x0 or y1 ≤ y0 if the face lies outside."""
    return intersection(bounds(aligned.to_photo, len(aligned.crop)), (0, 0, photo_shape[1], photo_shape[0]))


def intersection(one: Rectangle, other: Rectangle) -> Rectangle:
    """Return what two rectangles have in common; x1 ≤ x0 or y1 ≤ y0 if that is nothing."""
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def middle(crop: Picture) -> Picture:
    """Return the middle of a crop, which shows little but the face."""
    start, end = (round(share * len(crop)) for share in MIDDLE)
    return crop[start:end, start:end]
