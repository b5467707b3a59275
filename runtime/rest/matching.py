"""Give a restored face and its surroundings the same noise, so that neither looks pasted in.

Two networks rarely leave the same noise. The part that lost more of it gets some of the photo's own noise
back, but never more than the photo had there; `grain` gives all of it back. Shares of the noise in the photo
are compared, since a face's pores count as noise, and JPEG leaves more noise where there is more detail.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from base.parallel import parallel
from runtime.faces.align import AlignedFace, face_rectangle
from runtime.faces.grain import grain_sigmas
from runtime.faces.head import head_shape
from runtime.faces.noise import SUPPORT, noise_sigma
from runtime.finish.compose import in_colours
from runtime.finish.grain import grain_of
from runtime.finish.hand_back import HandBack
from runtime.finish.paste import warp_to_photo
from runtime.pixels import Map, Pixels, Rectangle, as_float
from runtime.rest.explained import LESS

ALIKE = 1.15
"""Noise levels that differ by at most this factor count as equal."""
NEAR = 0.5
"""How far from a face its surroundings are measured, in sides of its crop."""
SKIN = 0.35
"""Side of the central square of a crop that shows only the face, in sides of the crop."""
CORNER = 0.2
"""Side of the squares in a crop's upper corners that show no head, in sides of the crop."""
LEAST = 0.3 / 255
"""Noise below this counts as this much: rounding to 8 bits adds as much."""
CELL = 256
"""Side of the squares of the photo that get noise back, whose floats fit a core's cache."""


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise of a face and of what lies around it, in units of full scale."""

    face: float
    around: float
    photo_face: float
    """In the photo before."""
    photo_around: float

    @property
    def face_kept(self) -> float:
        """Return the share of the face's noise that is left."""
        return self.face / self.photo_face

    @property
    def around_kept(self) -> float:
        """Return the share of the noise around it that is left."""
        return self.around / self.photo_around


def of_restored(hand_back: HandBack | None) -> HandBack | None:
    """Return what a face gets back of a restored photo in place of the photo, which had more noise."""
    if hand_back is None:
        return None
    above = None if hand_back.above is None else hand_back.above / np.float32(LESS)
    return replace(hand_back, sigma=hand_back.sigma / np.float32(LESS), above=above)


def match_noise(restored: Pixels, photo: Pixels, faces: Iterable[AlignedFace]) -> None:
    """Match the noise of faces and of the rest of a restored photo, in place.

    restored  H×W×3 uint8 or uint16 RGB
    photo     as it was, as large
    faces     in that photo; the rest goes by the largest, every face by the rest
    """
    faces = sorted(faces, key=lambda face: -face.scale)
    if not faces:
        return
    heads = [_head(face, restored.shape) for face in faces]
    noise = noise_around(restored, photo, faces[0])
    wanted = min(noise.face, noise.face_kept * noise.photo_around)
    if noise.around * ALIKE < wanted:
        share = _share(noise.around, wanted, noise.photo_around)
        _give_back(restored, photo, (0, 0, restored.shape[1], restored.shape[0]), share, heads, inside=False)
    for face, head in zip(faces, heads, strict=True):
        noise = noise_around(restored, photo, face)
        wanted = min(noise.around, noise.around_kept * noise.photo_face)
        if noise.face * ALIKE < wanted:
            share = _share(noise.face, wanted, noise.photo_face)
            _give_back(restored, photo, head[0], share, [head], inside=True)


def noise_around(restored: Pixels, photo: Pixels, face: AlignedFace) -> Noise:
    """Measure the noise of a face and of what lies around it, before and after."""
    beside = list(_beside(face, restored.shape))

    def around(picture: Pixels) -> float:
        noise = [noise_sigma(as_float(picture[y0:y1, x0:x1])) for x0, y0, x1, y1 in beside]
        return max(LEAST, float(np.median(noise))) if noise else LEAST

    def middle(picture: Pixels) -> float:
        x0, y0, x1, y1 = _inner(face, picture.shape)
        return max(LEAST, noise_sigma(as_float(picture[y0:y1, x0:x1])))

    if not beside:  # a face that fills the photo
        return Noise(middle(restored), middle(restored), middle(photo), middle(photo))
    return Noise(middle(restored), around(restored), middle(photo), around(photo))


def _inner(face: AlignedFace, shape: tuple[int, ...]) -> Rectangle:
    """Return the middle of a face, which is skin, eyes, nose and mouth."""
    size = len(face.crop)
    x, y = face.to_photo @ ((size - 1) / 2, (size - 1) / 2, 1)
    half = SKIN * size * face.scale / 2
    x0, y0 = max(0, round(x - half)), max(0, round(y - half))
    return x0, y0, max(x0, min(shape[1], round(x + half))), max(y0, min(shape[0], round(y + half)))


def _share(has: float, wanted: float, photo: float) -> float:
    """Return the share of the photo's noise, at most 1, that raises the level `has` to about `wanted`."""
    return float(min(1.0, np.sqrt(max(0.0, wanted**2 - has**2)) / photo))


def _beside(face: AlignedFace, shape: tuple[int, ...]) -> Iterator[Rectangle]:
    """Yield squares beside a head, as far as the photo extends: in the upper corners of its crop, and left,
    right and above of it."""
    x0, y0, x1, _ = face_rectangle(face, shape)
    corner, side = max(1, round(CORNER * (x1 - x0))), max(1, round(NEAR * (x1 - x0)))
    middle = (x0 + x1 - side) // 2
    corners = [(x0, y0, corner), (x1 - corner, y0, corner)]
    for left, top, edge in [*corners, (x0 - side, y0, side), (x1, y0, side), (middle, y0 - side, side)]:
        x, y = max(0, left), max(0, top)
        right, bottom = min(shape[1], left + edge), min(shape[0], top + edge)
        if right - x >= edge // 2 and bottom - y >= edge // 2:
            yield x, y, right, bottom


Head = tuple[Rectangle, Map]
"""Where a face's crop lies, and how much of each pixel is head."""


def _head(face: AlignedFace, shape: tuple[int, ...]) -> Head:
    rectangle = face_rectangle(face, shape)
    if rectangle[2] <= rectangle[0] or rectangle[3] <= rectangle[1]:
        return (0, 0, 0, 0), np.zeros((0, 0), np.float32)
    mask = face.parsed.mask if face.parsed else head_shape(face)
    return rectangle, np.clip(warp_to_photo(mask, face, rectangle), 0, 1)


def _give_back(
    restored: Pixels, photo: Pixels, part: Rectangle, share: float, heads: list[Head], *, inside: bool
) -> None:
    """Add a share of the photo's noise to the heads in a part of the photo, or to all but the heads.

    Works in squares of CELL pixels. Those of a row are written when the next row, which reads them
    unchanged, is done.
    """
    x0, y0, x1, y1 = part
    sigmas = grain_sigmas(as_float(_middle(photo, part)))

    def noisier(cell: Rectangle) -> tuple[Rectangle, Pixels]:
        left, top, right, bottom = cell
        weight = _weight(cell, share, heads, inside=inside)
        if not weight.any():
            return cell, restored[top:bottom, left:right]
        above, before = max(0, top - SUPPORT), max(0, left - SUPPORT)
        around = np.s_[above : bottom + SUPPORT, before : right + SUPPORT]
        now = as_float(restored[around])
        within = np.s_[top - above : bottom - above, left - before : right - before]
        grain = grain_of(as_float(photo[around]) - now, sigmas)[within]
        new = np.clip(now[within] + in_colours(weight) * grain, 0, 1) * np.float32(np.iinfo(photo.dtype).max)
        return cell, np.rint(new).astype(restored.dtype)

    waiting: list[tuple[Rectangle, Pixels]] = []
    for top in range(y0, y1, CELL):
        row = [(x, top, min(x1, x + CELL), min(y1, top + CELL)) for x in range(x0, x1, CELL)]
        done = list(parallel(noisier, row))
        _write(restored, waiting)
        waiting = done
    _write(restored, waiting)


def _write(restored: Pixels, cells: list[tuple[Rectangle, Pixels]]) -> None:
    for (x0, y0, x1, y1), pixels in cells:
        restored[y0:y1, x0:x1] = pixels


def _weight(cell: Rectangle, share: float, heads: list[Head], *, inside: bool) -> Map:
    """Return the share of the noise that returns to each pixel of a cell."""
    x0, y0, x1, y1 = cell
    weight = np.full((y1 - y0, x1 - x0), 0.0 if inside else share, np.float32)
    for (left, top, right, bottom), mask in heads:
        rows, columns = slice(max(y0, top), min(y1, bottom)), slice(max(x0, left), min(x1, right))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        head = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        place = weight[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        place[:] = share * head if inside else np.minimum(place, share * (1 - head))
    return weight


def _middle(photo: Pixels, part: Rectangle) -> Pixels:
    x, y, half = (part[0] + part[2]) // 2, (part[1] + part[3]) // 2, 256
    return photo[max(0, y - half) : y + half, max(0, x - half) : x + half]
