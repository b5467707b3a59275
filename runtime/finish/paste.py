"""Put restored faces back into their photo."""

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.parallel import parallel
from runtime.faces.align import AlignedFace, cut_out, face_rectangle, intersection, joined, shift, warp
from runtime.faces.head import head_shape
from runtime.faces.noise import SUPPORT
from runtime.finish.blend import coarse_blend, narrow_mask
from runtime.finish.compose import compose, in_colours, repair_share
from runtime.finish.fine_detail import REACH, above_crop
from runtime.finish.grain import grain_of
from runtime.finish.hand_back import HandBack
from runtime.finish.lines import REACH as LINE_REACH
from runtime.finish.surroundings import Surroundings
from runtime.pixels import Crop, Pixels, Rectangle, as_float, smoothstep

FEATHER = 52 / 512  # published: a rectangle 26 pixels inside a crop of 512, its edge blurred this wide
OWN = 0.15  # how fast a face's claim to a pixel falls with the distance from its middle, in crops
CELL = 256  # the photo is blended in squares of this side, whose floats fit a core's cache


def paste_all(
    canvas: Pixels,
    faces: Iterable[tuple[AlignedFace, Crop]],
    hand_backs: Iterable[HandBack | None] | None = None,
    *,
    photo: Pixels | None = None,
    from_canvas: bool = False,
) -> None:
    """Blend restored crops into a canvas, in place.

    Touches only the rectangles that the crops cover, so the cost depends on the faces, not on the photo.
    Where crops overlap, a pixel goes to the face whose middle is nearest, softly; the order of the faces
    does not matter.

    canvas       H×W×3 uint8 or uint16 RGB: the photo, perhaps enhanced
    faces        each with its restored crop, S×S×3 float32 in [0, 1]
    hand_backs   how much of the photo each face gets back, and how it is finished; None, for one or for all,
                 is nothing: κ = 0
    photo        the photo that is handed back to faces, as large as the canvas; None is the canvas itself
    from_canvas  whether the canvas is handed back instead, except where κ is 1, which keeps the photo
    """
    faces, photo = list(faces), canvas if photo is None else photo
    better = canvas if from_canvas else None
    if hand_backs is None:
        hand_backs = [None] * len(faces)
    layers = list(
        parallel(lambda face: _layer(*face[0], face[1], photo, better), zip(faces, hand_backs, strict=True))
    )
    layers.sort(key=lambda layer: layer.aligned.to_photo.tolist())  # sums of floats depend on their order
    waiting: deque[_Blended] = deque()  # coring reads the neighbouring cells, which must be untouched
    cells = sorted({cell for layer in layers for cell in _cells(layer.rectangle)})
    for blended in parallel(lambda cell: _blend(canvas, photo, better, cell, layers), cells):
        while waiting and waiting[0].last_neighbour < blended.cell:
            _write(canvas, waiting.popleft())
        waiting.append(blended)
    for blended in waiting:
        _write(canvas, blended)


def warp_to_photo(
    picture: NDArray[np.float32], aligned: AlignedFace, rectangle: Rectangle
) -> NDArray[np.float32]:
    """Warp a crop, or a map of it (S×S or S×S×C), onto a rectangle of the photo.

    Its edge pixels are repeated beyond it.
    """
    return _warped(picture, aligned, rectangle, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)


def _warped(
    picture: NDArray[np.float32], aligned: AlignedFace, rectangle: Rectangle, interpolation: int, border: int
) -> NDArray[np.float32]:
    x0, y0, x1, y1 = rectangle
    to_rectangle = joined(shift(-x0, -y0), aligned.to_photo)
    return warp(picture, to_rectangle, (x1 - x0, y1 - y0), interpolation=interpolation, border=border)


@dataclass(frozen=True, eq=False)
class _Layer:
    aligned: AlignedFace
    restored: Crop
    hand_back: HandBack | None
    rectangle: Rectangle
    masks: NDArray[np.float32]
    """S×S×2: the mask of the crop, and its claim to contested pixels."""
    coarse: NDArray[np.float32] | None
    """S×S×3: the change added by blending at several scales."""
    seen: Crop
    """What of the pixels that are handed back can be seen in the crop, S×S×3."""


def _layer(
    aligned: AlignedFace, restored: Crop, hand_back: HandBack | None, photo: Pixels, better: Pixels | None
) -> _Layer:
    size = len(restored)
    masks, coarse = _masks(size), None
    if hand_back and hand_back.multiscale:
        change = (1 - hand_back.kappa[..., None]) * (restored - aligned.crop)
        masks = np.dstack([narrow_mask(size, FEATHER * size), masks[..., 1]])
        coarse = coarse_blend(change, hand_back.kappa, FEATHER * size)
    # Nothing but the head is touched.
    head = (aligned.parsed.mask if aligned.parsed else head_shape(aligned))[:, :, None]
    masks, coarse = masks * head, None if coarse is None else coarse * head
    if hand_back and hand_back.strength < 1:
        masks[..., 0] *= hand_back.strength
        coarse = None if coarse is None else coarse * np.float32(hand_back.strength)
    if hand_back and hand_back.share is not None:
        masks[..., 0] *= hand_back.share
        coarse = None if coarse is None else coarse * in_colours(hand_back.share)
    seen = aligned.crop if better is None else _seen(aligned, hand_back, photo, better)
    return _Layer(aligned, restored, hand_back, face_rectangle(aligned, photo.shape), masks, coarse, seen)


def _seen(aligned: AlignedFace, hand_back: HandBack | None, photo: Pixels, better: Pixels) -> Crop:
    """Return the crop as it would be if it showed the better photo, S×S×3, where that is handed back."""
    if hand_back is None or hand_back.above is None:
        return aligned.crop
    now, before = (cut_out(each, aligned.to_photo, len(aligned.crop)) for each in (better, photo))
    share = repair_share(hand_back.kappa)
    share = share if hand_back.filled is None else share * (1 - hand_back.filled)
    return np.asarray(aligned.crop + in_colours(share) * (now - before), np.float32)


@dataclass(frozen=True, eq=False)
class _Blended:
    cell: Rectangle
    rectangle: Rectangle
    """What of the cell is new."""
    pixels: NDArray[Any]

    @property
    def last_neighbour(self) -> Rectangle:
        """Return the last cell whose blending reads the old pixels."""
        x, y = self.cell[2:]
        return x, y, x + CELL, y + CELL


def _blend(
    canvas: Pixels, photo: Pixels, better: Pixels | None, cell: Rectangle, layers: Iterable[_Layer]
) -> _Blended:
    here = [(layer, part) for layer in layers if _area(part := intersection(layer.rectangle, cell))]
    x0, y0 = (min(part[axis] for _, part in here) for axis in (0, 1))
    x1, y1 = (max(part[axis] for _, part in here) for axis in (2, 3))
    claims = np.zeros((y1 - y0, x1 - x0), np.float32)
    warped = []
    for layer, part in here:
        inside = np.s_[part[1] - y0 : part[3] - y0, part[0] - x0 : part[2] - x0]
        mask, claim = cv2.split(
            _warped(layer.masks, layer.aligned, part, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        )
        claims[inside] += claim
        warped.append((layer, part, inside, mask * claim, claim))
    own = canvas[y0:y1, x0:x1]
    top = np.iinfo(canvas.dtype).max
    blended = own.astype(np.float32)
    for layer, part, inside, weight, claim in warped:
        if layer.coarse is None and not weight.any():
            continue  # beside the head
        all_claims = np.maximum(claims[inside], np.finfo(np.float32).tiny)
        change = top * _composed(photo, better, layer, part) - own[inside]
        blended[inside] += in_colours(weight / all_claims) * change
        if layer.coarse is not None:
            coarse = _warped(layer.coarse, layer.aligned, part, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
            blended[inside] += in_colours(claim / all_claims * top) * coarse
    pixels = np.rint(np.clip(blended, 0, top)).astype(canvas.dtype)
    return _Blended(cell, (x0, y0, x1, y1), pixels)


def _write(canvas: Pixels, blended: _Blended) -> None:
    x0, y0, x1, y1 = blended.rectangle
    canvas[y0:y1, x0:x1] = blended.pixels


def _composed(photo: Pixels, better: Pixels | None, layer: _Layer, part: Rectangle) -> NDArray[np.float32]:
    """Return part of the photo with the face restored and the photo's share handed back, in [0, 1].

    better  what is handed back in place of the photo, except where κ is 1
    """
    hand_back = layer.hand_back
    if hand_back is None:
        return np.clip(warp_to_photo(layer.restored, layer.aligned, part), 0, 1)
    margin = SUPPORT + (0 if hand_back.above is None else REACH) + (SUPPORT if hand_back.slight else 0)
    margin += LINE_REACH if hand_back.lines else 0
    around, inside = _around(photo, part, margin)
    restored = np.clip(warp_to_photo(layer.restored, layer.aligned, around), 0, 1)
    kappa = _warped(hand_back.kappa, layer.aligned, around, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    own = as_float(_pixels(photo, around))
    if better is not None:
        own += in_colours(repair_share(kappa)) * (as_float(_pixels(better, around)) - own)
    if hand_back.mended:
        own += in_colours(repair_share(kappa)) * hand_back.mended.change(photo, around)
    if hand_back.filled is not None or hand_back.above is not None:
        seen = np.clip(warp_to_photo(layer.seen, layer.aligned, around), 0, 1)  # as restored
    if hand_back.filled is not None:
        filled = _warped(hand_back.filled, layer.aligned, around, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        own += in_colours(repair_share(kappa) * filled) * (seen - own)
    removed = None
    if hand_back.above is not None:
        detail = above_crop(own, seen, hand_back.above)
        removed = own - seen - detail
        restored += detail
    if hand_back.lines:
        restored += hand_back.lines.of(own - restored)
    if hand_back.slight and not hand_back.slight.above:
        removed = own - restored
    if hand_back.slight and removed is not None:
        restored += hand_back.slight.of(removed)
    if hand_back.grain is not None:
        restored += grain_of(own - restored, hand_back.grain)
    composed = np.clip(compose(own, restored, kappa, hand_back.sigma)[inside], 0, 1)
    finished = composed
    for step in hand_back.steps:
        around, within = _around(photo, part, step.margin(layer.aligned))
        finished = step.finish(
            finished,
            Surroundings(_pixels(photo, around), within, layer.aligned, hand_back.gain, hand_back.offset),
        )
    if finished is not composed:
        composed += in_colours(repair_share(kappa[inside])) * (finished - composed)
    return composed


def _around(photo: Pixels, part: Rectangle, margin: int) -> tuple[Rectangle, tuple[slice, slice]]:
    """Return a part of the photo with a margin, as far as the photo extends, and where the part lies in
    it."""
    around = intersection(_grown(part, margin), (0, 0, photo.shape[1], photo.shape[0]))
    x0, y0 = around[:2]
    return around, np.s_[part[1] - y0 : part[3] - y0, part[0] - x0 : part[2] - x0]


def _pixels(photo: Pixels, rectangle: Rectangle) -> Pixels:
    x0, y0, x1, y1 = rectangle
    return photo[y0:y1, x0:x1]


@lru_cache(maxsize=4)
def _masks(size: int) -> NDArray[np.float32]:
    """Return size×size×2: the feathered mask of a crop, 0 on its edge, and its claim to contested pixels."""
    pixel = np.arange(size)
    feather = smoothstep(np.minimum(pixel, size - 1 - pixel) / (FEATHER * size))
    nearness = np.exp(-((((pixel + 0.5) / size - 0.5) / OWN) ** 2))
    mask = np.outer(feather, feather)
    masks = np.stack([mask, mask * np.outer(nearness, nearness)], axis=2).astype(np.float32)
    masks.flags.writeable = False
    return masks


def _cells(rectangle: Rectangle) -> Iterable[Rectangle]:
    x0, y0, x1, y1 = rectangle
    if not _area(rectangle):
        return []
    corners = itertools.product(
        *(range(low // CELL * CELL, high, CELL) for low, high in ((x0, x1), (y0, y1)))
    )
    return [(x, y, x + CELL, y + CELL) for x, y in corners]


def _grown(rectangle: Rectangle, margin: int) -> Rectangle:
    x0, y0, x1, y1 = rectangle
    return x0 - margin, y0 - margin, x1 + margin, y1 + margin


def _area(rectangle: Rectangle) -> int:
    x0, y0, x1, y1 = rectangle
    return max(0, x1 - x0) * max(0, y1 - y0)
