"""Soften scratches of a print or film: thin, long, straight lines across a face, brighter or darker than it.

They are found in the photo's own pixels, before the network sees them, and filled from both sides.
They are distinguished from a face's own lines: lashes, wrinkles and the line of the mouth are shorter than
half a face, hairs lie side by side, and the edge of a shadow is not a line. A line from eye to eye may be
glasses and is left alone, even if it is a scratch; a single hair straight across a face is taken for a
scratch. The search sees the face in studio light, so that coloured light neither hides lines nor makes any.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, cut_out, joined, shift, surroundings
from runtime.faces.fine_lines import CONTRAST, fine_lines, thickest
from runtime.faces.regions import region_weights
from runtime.faces.tone import UNCHANGED, Tone, tone_of
from runtime.finish.patch import Patch
from runtime.pixels import Map, Pixels, as_float, eight_bit

Segment = tuple[int, int, int, int]
"""x0, y0, x1, y1: its ends."""

LARGEST = 1024
"""Crops covering more photo pixels than this are searched at reduced size, since scratches are wider."""

# Lengths in crops, which are twice as wide as a face.
BRIGHT_LENGTH = 0.22
DARK_LENGTH = 0.28  # longer than the line of the mouth, lids, and most wrinkles
GAP = 0.03  # that a scratch may have
EYES_BAND = 0.1  # above and below the line of the eyes
EYES_ANGLE = 25  # degrees to it

OVER_TEXTURE = 2.0  # and how much more than the face's fine lines have on average
ISOLATED = 2.0  # how much more than what lies right beside it: hair lies beside hair
SUPPORTED = 0.85  # share of its length on which it is seen
ALIKE = 2.0  # times its own strength may its two sides differ: the outline of a face is no scratch
EVEN = 0.5  # least strength there, as a share of what it usually has

TOUCHED = 0.02
"""Pixels that belong to a scratch to a lesser degree are clean enough to fill from."""
LEFT = 0.15
"""Share of a scratch's brightness that remains, for a soft transition; none of its colour remains."""


def mended_face(
    photo: Pixels, aligned: AlignedFace, *, grey: bool = False
) -> tuple[AlignedFace, Patch | None]:
    """Return a face without scratches, and the changed piece of the photo; the face itself if it has none.

    photo  H×W×3 uint8 or uint16 RGB, not enlarged; not changed
    grey   whether the face is grey because it is monochrome
    """
    size = len(aligned.crop)
    x0, y0, x1, y1 = surroundings(aligned.to_photo, size, photo.shape)
    to_piece = joined(shift(-x0, -y0), aligned.to_photo)
    piece: Pixels = photo[y0:y1, x0:x1]
    width = size * aligned.scale
    oval = _oval(aligned, to_piece, piece.shape)
    eyes = aligned.face.landmarks[[0, 1, 3, 4]] - np.array([x0, y0])
    scratches = find_scratches(_in_studio_light(piece, tone_of(aligned, grey=grey)), oval, eyes, width)
    if not scratches.any():
        return aligned, None
    mended = soften(piece, scratches, width)
    return replace(aligned, crop=cut_out(mended, to_piece, size)), Patch(x0, y0, mended)


def _in_studio_light(piece: Pixels, tone: Tone) -> Pixels:
    return piece if tone is UNCHANGED else np.rint(tone.standard(as_float(piece)) * 255).astype(np.uint8)


def _oval(aligned: AlignedFace, to_piece: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where the face's skin and features lie; lines in hair, clothes and background are not
    scratches."""
    inside = region_weights(aligned, {"face": 1, "hair": 0, "ear": 0, "other": 0})
    return cv2.warpAffine(inside, to_piece, (shape[1], shape[0]), flags=cv2.INTER_LINEAR) > 0.5


def find_scratches(
    piece: Pixels, oval: NDArray[np.bool_], eyes: NDArray[np.floating[Any]], width: float
) -> Map:
    """Return the degree to which each pixel belongs to a scratch, in [0, 1].

    piece  H×W×3 uint8 or uint16, the photo around a face, in studio light
    oval   H×W, where the face is: a scratch must cross it
    eyes   4×2, (x, y): the eyes, then the mouth's corners. Lines from one to the other are glasses, brows,
           lids or teeth
    width  of the face's crop in pixels of the photo
    """
    shape = (piece.shape[1], piece.shape[0])
    factor = min(1.0, LARGEST / width)
    if factor < 1:
        smaller = tuple(max(1, round(side * factor)) for side in shape)
        piece = cast(Pixels, cv2.resize(piece, smaller, interpolation=cv2.INTER_AREA))
        oval = cv2.resize(oval.astype(np.uint8), smaller, interpolation=cv2.INTER_NEAREST) > 0
    found = np.zeros(piece.shape[:2], np.float32)
    grey = as_float(np.asarray(cv2.cvtColor(eight_bit(piece), cv2.COLOR_RGB2GRAY), np.uint8))
    pairs = (eyes[:2] * factor, eyes[2:] * factor)
    for lines, length in zip(fine_lines(piece, width * factor), (BRIGHT_LENGTH, DARK_LENGTH), strict=True):
        scratches = scratches_among(
            lines,
            grey,
            oval,
            width * factor,
            length,
            lambda segment: not any(_joins(segment, pair, width * factor) for pair in pairs),
        )
        np.maximum(found, scratches, out=found)
    if factor < 1:
        found = np.asarray(cv2.resize(found, shape, interpolation=cv2.INTER_LINEAR), np.float32)
    return found


def scratches_among(
    lines: Map,
    grey: Map,
    oval: NDArray[np.bool_],
    width: float,
    length: float,
    may_be: Callable[[Segment], bool],
) -> Map:
    """Return which fine lines are scratches: those along long straight segments within the oval.

    length  of the shortest ones, in widths
    may_be  whether a segment may be one at all
    """
    true, least = straight_scratches(lines, grey, oval, width, length, width, may_be)
    if not true:
        return np.zeros_like(lines)
    # A scratch goes on beyond the face: what continues a segment, on its line, belongs to it.
    seeds, ways = np.zeros(lines.shape, np.uint8), np.zeros(lines.shape, np.uint8)
    thick = thickest(width)
    for x0, y0, x1, y1 in true:
        along = np.array([x1 - x0, y1 - y0]) * (width / math.hypot(x1 - x0, y1 - y0))
        further = np.array([(x0, y0), (x1, y1)]) + np.outer((-1, 1), along)
        before, after = np.rint(further).astype(int).tolist()
        cv2.line(seeds, (x0, y0), (x1, y1), 1, thick)
        cv2.line(ways, before, after, 1, thick)
    seen = ((lines > least / 2) & (ways > 0)).astype(np.uint8)
    gap = np.ones((max(thick, round(GAP * width)),) * 2, np.uint8)
    _, parts = cv2.connectedComponents(cv2.morphologyEx(seen, cv2.MORPH_CLOSE, gap))
    belongs = np.isin(parts, np.setdiff1d(np.unique(parts[(seeds > 0) & (seen > 0)]), [0])) & (seen > 0)
    # Include the softer pixels beside the brightest ones of a line.
    wide = cv2.dilate(belongs.astype(np.float32), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), 0.7), np.float32)


def straight_scratches(
    lines: Map,
    grey: Map,
    oval: NDArray[np.bool_],
    width: float,
    length: float,
    crop: float,
    may_be: Callable[[Segment], bool],
) -> tuple[list[Segment], float]:
    """Return the scratches among fine lines, and how strong a line is at least to be one.

    width, length  the shortest ones are length·width long
    crop           width of the crop of a face that would have scratches as thick
    may_be         whether a segment may be one at all
    """
    if not oval.any():
        return [], CONTRAST
    least = max(CONTRAST, OVER_TEXTURE * float(np.median(lines[oval])))
    on = ((lines > least) & oval).astype(np.uint8)
    shortest = length * width
    segments = cv2.HoughLinesP(
        on, 1, math.pi / 180, round(shortest / 3), minLineLength=shortest, maxLineGap=GAP * width
    )
    ends: list[Segment] = [] if segments is None else segments.reshape(-1, 4).tolist()  # type: ignore[assignment]
    return [end for end in ends if _is_scratch(end, lines, grey, least, crop) and may_be(end)], least


def _joins(segment: Segment, eyes: NDArray[np.floating[Any]], width: float) -> bool:
    """Return whether a line joins the eyes, like the rims of glasses, or the mouth's corners, like teeth."""
    ends = np.array(segment, np.float64).reshape(2, 2)
    right = (eyes[1] - eyes[0]) / max(float(np.hypot(*(eyes[1] - eyes[0]))), 1.0)
    down = np.array([-right[1], right[0]])
    level, drop = np.abs((ends[1] - ends[0]) @ np.column_stack([right, down]))
    near = np.abs((ends - eyes.mean(axis=0)) @ down).min() < EYES_BAND * width
    return bool(near and drop < math.tan(math.radians(EYES_ANGLE)) * level)


def _is_scratch(segment: Segment, lines: Map, grey: Map, least: float, width: float) -> bool:
    """Return whether a line is visible all along a segment, evenly strong, with no other line beside it.

    Its two sides must be alike too: the outline of a face is no scratch.
    """
    x0, y0, x1, y1 = segment
    long = math.hypot(x1 - x0, y1 - y0)
    t = np.linspace(0, 1, max(2, round(long)), dtype=np.float32)
    thick = thickest(width)
    offsets = np.arange(-2 * thick, 2 * thick + 1, dtype=np.float32)[:, None]
    x = x0 + (x1 - x0) * t + offsets * np.float32((y0 - y1) / long)
    y = y0 + (y1 - y0) * t + offsets * np.float32((x1 - x0) / long)
    across = cv2.remap(lines, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    across = cv2.blur(across, (2 * thick + 1, 1))  # along the line, so that grain does not hide it
    middle = across[2 * thick - 2 : 2 * thick + 3].max(axis=0)
    beside = np.maximum(across[:thick].mean(axis=0), across[-thick:].mean(axis=0))
    seen = (middle > least) & (middle > ISOLATED * beside)
    even = np.quantile(middle, 1 - SUPPORTED) >= EVEN * np.median(middle)
    brightness = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    apart = np.abs(brightness[:thick].mean(axis=0) - brightness[-thick:].mean(axis=0))
    alike = np.median(apart) <= ALIKE * np.median(middle)
    return bool(seen.mean() >= SUPPORTED and even and alike)


def soften(piece: Pixels, scratches: Map, width: float) -> Pixels:
    """Return a copy in which scratches are filled from both sides.

    piece      H×W×3 uint8 or uint16
    scratches  H×W in [0, 1], the degree to which each pixel belongs to one
    width      of the face's crop in pixels of the photo
    """
    reach = thickest(width) / 2
    margin = math.ceil(3 * reach)
    mended = cast(Pixels, piece.copy())
    for rows, columns in _tiles(piece.shape):
        if not scratches[rows, columns].any():
            continue
        around = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in (rows, columns))
        inside = tuple(
            slice(s.start - a.start, s.stop - a.start) for s, a in zip((rows, columns), around, strict=True)
        )
        share = scratches[around]
        own = piece[around].astype(np.float32)
        filled = _filled(piece[around], share > TOUCHED, reach)
        remains = LEFT * (own - filled).mean(axis=2, keepdims=True) * _hue(filled)
        soft = own + share[..., None] * (filled + remains - own)
        top = np.iinfo(piece.dtype).max
        mended[rows, columns] = np.rint(np.clip(soft, 0, top)).astype(piece.dtype)[inside]
    return mended


def _hue(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return colours relative to their mean, H×W×3: what is lighter or darker by a multiple has their hue."""
    mean = colours.mean(axis=2, keepdims=True)
    return np.asarray(np.divide(colours, mean, out=np.ones_like(colours), where=mean > 0), np.float32)


def _filled(piece: Pixels, holes: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    """Return a piece whose holes are filled from their borders inwards, along the edges that meet them.

    A. Telea, "An image inpainting technique based on the fast marching method", 2004; channel by channel,
    since OpenCV accepts 16 bits only in single channels.
    """
    mask = holes.astype(np.uint8)
    channels = [cv2.inpaint(channel, mask, reach, cv2.INPAINT_TELEA) for channel in cv2.split(piece)]
    return np.dstack(channels).astype(np.float32)


def _tiles(shape: tuple[int, ...], side: int = 512) -> list[tuple[slice, slice]]:
    """Return squares that cover a picture; processing them in turn needs little memory for floats."""
    return [
        (slice(y, min(y + side, shape[0])), slice(x, min(x + side, shape[1])))
        for y in range(0, shape[0], side)
        for x in range(0, shape[1], side)
    ]
