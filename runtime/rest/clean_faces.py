"""Remove noise and JPEG damage from faces before the face network sees them.

The photo network sees noise and JPEG blocks at their own size, whereas the face network sees them enlarged or
reduced with the face. A face network that was trained on the way from the photo to the truth may begin
anywhere on it; so it begins where the photo network ends, as far as the measured damage explains the change
(`explained.py`). What is handed back of the photo afterwards is not affected.

The surroundings of all faces lie side by side in one picture, since a tile has room for many small ones.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

import cv2
import numpy as np

from base.parallel import for_each
from runtime.faces.align import AlignedFace, inverted, joined, resizing, shift, surroundings, warp
from runtime.finish.compose import in_colours
from runtime.network.monochrome import is_grey
from runtime.pixels import Crop, Matrix, Picture, Pixels, as_float
from runtime.rest.explained import Explained, explained_by
from runtime.rest.measured import SQUARE
from runtime.rest.network import PhotoNetwork
from runtime.rest.strips import strips

STRONGEST = 16 / 255
"""σ of noise beyond which the face network does better from the photo itself."""
MEASURED = 4
"""Faces around which the damage is measured."""


@dataclass(frozen=True, eq=False)
class Cleaning:
    """The change that cleans the crop of a face."""

    change: Crop
    """S×S×3, to be added to the crop."""
    is_whole: bool
    """Whether no damage is left."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """The surroundings of a face, in its photo's pixels or, if those are finer, about as fine as the crop."""

    pixels: Pixels
    to_crop: Matrix
    size: int
    """S"""

    def crop(self, change: Picture) -> Crop:
        """Return a change of this piece as a change of the crop, S×S×3."""
        return warp(change, self.to_crop, (self.size, self.size), border=cv2.BORDER_REFLECT)


def cleaned(
    photo: Pixels, faces: Mapping[int, AlignedFace], network: Callable[[], PhotoNetwork], damage: Explained
) -> dict[int, Cleaning]:
    """Return the cleanings of faces' crops in a damaged photo; faces without visible damage have none.

    photo    H×W×3 uint8 or uint16 RGB
    network  opens the photo network, which is not needed for a photo without damage; one that enlarges, or
             returns pictures whose change cannot be limited, cleans nothing
    damage   of the photo

    Raises PackageError and BackendError.
    """
    seen = {i: face for i, face in faces.items() if _is_worth_it(damage.reduced(_reduction(face)))}
    if not seen or not (opened := network()).adds:
        return {}
    pieces = for_each(seen, lambda i: _piece(photo, seen[i]))
    places, together = _side_by_side({i: piece.pixels for i, piece in pieces.items()}, opened)
    changes = np.concatenate([strip.answer.copy() for strip in strips(together, opened, 1, 0)])

    def cleaning(i: int) -> Cleaning:
        change = np.ascontiguousarray(changes[places[i]])
        if is_grey(pieces[i].pixels):
            change = in_colours(change.mean(axis=2))
        limited = damage.reduced(_reduction(seen[i])).limit(pieces[i].pixels, change)
        return Cleaning(pieces[i].crop(limited), damage.is_of_jpeg_alone)

    return for_each(pieces, cleaning)


def _is_worth_it(damage: Explained) -> bool:
    return damage.is_seen and bool(damage.noise.min() <= STRONGEST)


def damage_of(photo: Pixels, faces: Iterable[AlignedFace]) -> Explained:
    """Measure the damage of a photo, H×W×3 uint8 or uint16, around the middle of a few faces."""
    return explained_by([_square(photo, face) for face in islice(faces, MEASURED)])


def _square(photo: Pixels, face: AlignedFace) -> Picture:
    middle = face.to_photo @ (len(face.crop) / 2, len(face.crop) / 2, 1)
    left, top = (
        max(0, min(round(float(at)) - SQUARE // 2, length - SQUARE)) // 8 * 8
        for at, length in zip(middle, photo.shape[1::-1], strict=True)
    )
    return as_float(photo[top : top + SQUARE, left : left + SQUARE])


def _piece(photo: Pixels, face: AlignedFace) -> _Piece:
    size = len(face.crop)
    x0, y0, x1, y1 = surroundings(face.to_photo, size, photo.shape)
    pixels: Pixels = photo[y0:y1, x0:x1]
    reduction = _reduction(face)
    if reduction > 1:
        width, height = (math.ceil(side / reduction) for side in (x1 - x0, y1 - y0))
        pixels = cast(Pixels, cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    to_piece = joined(resizing(pixels.shape[1] / (x1 - x0), pixels.shape[0] / (y1 - y0)), shift(-x0, -y0))
    return _Piece(pixels, inverted(joined(to_piece, face.to_photo)), size)


def _reduction(face: AlignedFace) -> float:
    """Return the factor by which a face's surroundings are reduced, if they are finer than the crop."""
    return max(1.0, face.scale)


def _side_by_side(
    pieces: Mapping[int, Pixels], network: PhotoNetwork
) -> tuple[dict[int, tuple[slice, slice]], Pixels]:
    """Return a picture of all pieces, about as wide as a tile, and where each piece lies in it.

    Each is surrounded by a mirrored margin as wide as the network's receptive field.
    """
    edge = network.overlap
    framed = {
        i: cv2.copyMakeBorder(piece, edge, edge, edge, edge, cv2.BORDER_REFLECT)
        for i, piece in pieces.items()
    }
    corners: dict[int, tuple[int, int]] = {}
    row = column = lowest = 0
    for i, piece in sorted(framed.items(), key=lambda item: -len(item[1])):
        height, width = piece.shape[:2]
        if column and column + width > network.columns:
            row, column = lowest, 0
        corners[i] = row, column
        column, lowest = column + width, max(lowest, row + height)
    widest = max(column + framed[i].shape[1] for i, (_, column) in corners.items())
    together = np.zeros((lowest, widest, 3), next(iter(pieces.values())).dtype)
    for i, (y, x) in corners.items():
        height, width = framed[i].shape[:2]
        together[y : y + height, x : x + width] = framed[i]
    places = {
        i: (
            slice(y + edge, y + framed[i].shape[0] - edge),
            slice(x + edge, x + framed[i].shape[1] - edge),
        )
        for i, (y, x) in corners.items()
    }
    return places, together
