"""Remove JPEG damage and coarse noise from faces before the face network sees them.

The photo network sees noise and JPEG blocks at their own size, whereas the face network sees them enlarged or
reduced with the face. A face network that was trained on the way from the photo to the truth may begin
anywhere on it; so it begins where the photo network ends, as far as the measured damage explains the change
(`explained.py`). What is handed back of the photo afterwards is not affected.

The photo network, which sees only 20 pixels far, may leave patches of white noise on skin, and the face
network would draw them as texture. Then such noise is left to the face network, which was trained on it, and
so is what it does better itself: strong white noise, and that of small faces.

The surroundings of all faces lie side by side in one picture, since a tile has room for many small ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from base.parallel import for_each
from runtime.faces.align import AlignedFace, inverted, joined, middle, pixels_around, warp
from runtime.finish.compose import in_colours
from runtime.network.monochrome import is_grey
from runtime.network.most_passes import SMALL
from runtime.pixels import Crop, Matrix, Picture, Pixels, as_float
from runtime.rest.explained import Explained, explained_by
from runtime.rest.measured import SQUARE
from runtime.rest.network import PhotoNetwork
from runtime.rest.strips import strips

STRONGEST = 14 / 255
"""σ of white noise beyond which the face network does better from the photo itself, by 0.3 dB; in faces of
less than SMALL photo pixels per crop pixel it always does, by 0.4 to 1.2 dB."""
ALL_TAKEN, NEARLY_EVERYWHERE = 0.7, 0.1
"""Share of white noise that is taken away, at this quantile of the places on a face, at least, if no patches
are left: 0.04 to 0.58 in portraits with patches, 0.72 and more without."""
PATCHY, PATCHY_JPEG = 9 / 255, 2 / 255
"""σ of white noise from which patches of it count, without and with JPEG, which hides most of it. Those of
weaker noise are faint, and five passes come up to 0.4 dB closer to the truth if it is taken away."""
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

    def crop(self, change: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a change of this piece, or a map of it, as one of the crop, S×S×3 or S×S."""
        return warp(change, self.to_crop, (self.size, self.size), border=cv2.BORDER_REFLECT)


def cleaned(
    photo: Pixels, faces: Mapping[int, AlignedFace], network: Callable[[], PhotoNetwork], damage: Explained
) -> dict[int, Cleaning]:
    """Return the cleanings of faces' crops in a damaged photo; faces without visible damage have none, nor
    have those whose white noise is left to the face network.

    photo    H×W×3 uint8 or uint16 RGB
    network  opens the photo network, which is not needed for a photo without damage; one that enlarges, or
             returns pictures whose change cannot be limited, cleans nothing
    damage   of the photo

    Raises PackageError and BackendError.
    """
    damages = {i: damage.reduced(max(1.0, face.scale)) for i, face in faces.items()}
    seen = [i for i, left in damages.items() if _is_worth_it(left, faces[i])]
    if not seen or not (opened := network()).adds:
        return {}
    pieces = for_each(seen, lambda i: _piece(photo, faces[i]))
    places, together = _side_by_side({i: piece.pixels for i, piece in pieces.items()}, opened)
    changes = np.concatenate([strip.answer.copy() for strip in strips(together, opened, 1, 0)])

    def cleaning(i: int) -> Cleaning | None:
        piece, change = pieces[i], np.ascontiguousarray(changes[places[i]])
        if is_grey(piece.pixels):
            change = in_colours(change.mean(axis=2))
        if _leaves_patches(piece, change, damages[i]):
            return None
        limited = damages[i].limit(piece.pixels, change)
        return Cleaning(piece.crop(limited), damage.is_of_jpeg_alone)

    return {i: made for i, made in for_each(pieces, cleaning).items() if made}


def _is_worth_it(damage: Explained, face: AlignedFace) -> bool:
    if damage.is_of_white_noise and (face.scale < SMALL or damage.noise.min() > STRONGEST):
        return False
    return damage.is_seen


def _leaves_patches(piece: _Piece, change: Picture, damage: Explained) -> bool:
    """Return whether a change leaves patches of white noise on a face."""
    if not damage.is_of_white_noise or damage.noise.min() < (PATCHY_JPEG if damage.jpeg else PATCHY):
        return False
    taken = middle(piece.crop(damage.share_of(piece.pixels, change)))
    return bool(np.quantile(taken, NEARLY_EVERYWHERE) < ALL_TAKEN)


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
    pixels, to_piece = pixels_around(photo, face.to_photo, size, finest=1)
    return _Piece(pixels, inverted(joined(to_piece, face.to_photo)), size)


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
    frames: dict[int, tuple[slice, slice]] = {}
    row = column = lowest = widest = 0
    for i, piece in sorted(framed.items(), key=lambda item: -len(item[1])):
        height, width = piece.shape[:2]
        if column and column + width > network.columns:
            row, column = lowest, 0
        frames[i] = slice(row, row + height), slice(column, column + width)
        column, lowest = column + width, max(lowest, row + height)
        widest = max(widest, column)
    together = np.zeros((lowest, widest, 3), next(iter(pieces.values())).dtype)
    for i, frame in frames.items():
        together[frame] = framed[i]
    places = {
        i: (slice(rows.start + edge, rows.stop - edge), slice(columns.start + edge, columns.stop - edge))
        for i, (rows, columns) in frames.items()
    }
    return places, together
