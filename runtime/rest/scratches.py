"""Soften scratches over the whole photo: long, thin, straight lines that cross what it shows.

They are found as in faces, with further conditions. A photo is full of straight lines that are no scratches:
wires, masts, planks, window bars, the horizon. Those belong to one thing and share its light; a scratch runs
across dark and bright things alike and is itself equally bright everywhere. A scratch across a plain sky is
therefore left alone. Faces have their own search and are left out here.
"""

import math
from collections.abc import Iterable, Iterator
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.face import Face
from runtime.faces.fine_lines import fine_lines, thickest
from runtime.finish.scratches import Segment, soften, straight_scratches
from runtime.pixels import Map, Pixels, as_float, eight_bit

LARGEST = 1024
"""Lines are looked for in a picture no longer than this; thin ones are kept by taking the strongest pixel."""
THIN = 256
"""Scratches are as thin as in a crop of a face of this width, in the small picture."""
LENGTH = 0.35
"""Least length of a scratch, in shorter sides of the photo."""
EDGE = 0.06
"""Change of brightness that counts as the edge of a thing, of full scale."""
BRIGHT_EDGES, DARK_EDGES = 2, 6
"""The fewest edges that a bright and a dark scratch cross; dark ones need more, since wires and gaps between
planks are dark too."""
STEADY = 0.6
"""A scratch's own brightness varies by no more than this share of that beside it."""
BESIDE = 4
"""Distance from a line, in pixels of the small picture, at which the brightness beside it is read."""
ALONG = 9
"""Pixels of the small picture over which brightness is averaged along a line, to suppress grain."""
BEYOND = 0.1
"""How far a scratch may extend beyond the segment that was found, in lengths of the segment."""
AROUND = 0.15
"""Margin around the boxes of faces, which are left out, in widths of the box."""
ROWS = 512
"""Rows in which lines are measured together."""


def without_scratches(photo: Pixels, faces: Iterable[Face] = ()) -> Pixels:
    """Return a copy of a photo whose scratches are softened; the photo itself if it has none.

    photo  H×W×3 uint8 or uint16 RGB; not changed
    faces  of the photo, which are left out
    """
    scratches = find_photo_scratches(photo, faces)
    return soften(photo, scratches, _crop(photo)) if scratches.any() else photo


def find_photo_scratches(photo: Pixels, faces: Iterable[Face] = ()) -> Map:
    """Return the degree to which each pixel belongs to a scratch, H×W in [0, 1]."""
    height, width = photo.shape[:2]
    factor = min(1.0, LARGEST / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    grey = np.asarray(cv2.cvtColor(eight_bit(photo), cv2.COLOR_RGB2GRAY), np.uint8)
    small = as_float(np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8))
    outside = _outside(small.shape, faces, factor)
    found = np.zeros((height, width), np.float32)
    for bright in (True, False):
        lines = _reduced(photo, size, bright=bright)
        crosses = partial(_crosses, grey=grey, factor=factor, bright=bright)
        scratches, least = straight_scratches(lines, small, outside, min(size), LENGTH, THIN, crosses)
        if scratches:
            ways = _ways(scratches, factor, (height, width))
            for rows, strength in _bands(photo, bright=bright):
                there = ((strength > least / 2) & (ways[rows] > 0)).astype(np.float32)
                if there.any():  # the softer pixels beside the brightest ones belong to it
                    soft = cv2.GaussianBlur(cv2.dilate(there, np.ones((3, 3), np.uint8)), (0, 0), 0.7)
                    np.maximum(found[rows], soft, out=found[rows])
    return found


def _crop(photo: Pixels) -> float:
    """Return the width of a face's crop in which scratches would be this thick."""
    return float(THIN * max(1.0, max(photo.shape[:2]) / LARGEST))


def _outside(shape: tuple[int, ...], faces: Iterable[Face], factor: float) -> NDArray[np.bool_]:
    outside = np.ones(shape, bool)
    for face in faces:
        x0, y0, x1, y1 = (side * factor for side in face.box)
        more = AROUND * (x1 - x0)
        top, left = max(0, round(y0 - more)), max(0, round(x0 - more))
        outside[top : max(0, round(y1 + more)), left : max(0, round(x1 + more))] = False
    return outside


def _bands(photo: Pixels, *, bright: bool) -> Iterator[tuple[slice, Map]]:
    """Yield rows of the photo, each with the strength of its bright or dark lines."""
    crop = _crop(photo)
    margin = thickest(crop) + 2
    for top in range(0, len(photo), ROWS):
        around = slice(max(0, top - margin), top + ROWS + margin)
        lines = fine_lines(photo[around], crop)[0 if bright else 1]
        rows = slice(top, min(len(photo), top + ROWS))
        yield rows, lines[rows.start - around.start : rows.stop - around.start]


def _reduced(photo: Pixels, size: tuple[int, int], *, bright: bool) -> Map:
    """Return the strength of lines in a smaller picture: of the strongest pixel that falls on each."""
    width, height = size
    reduced = np.zeros((height, width), np.float32)
    starts = -(-np.arange(width) * photo.shape[1] // width)
    for rows, lines in _bands(photo, bright=bright):
        strongest = np.maximum.reduceat(lines, starts, axis=1)
        np.maximum.at(reduced, np.arange(rows.start, rows.stop) * height // len(photo), strongest)
    return reduced


def _crosses(segment: Segment, grey: NDArray[np.uint8], factor: float, *, bright: bool) -> bool:
    """Return whether a line of one brightness runs across things of different brightness.

    grey    the photo at its own size
    factor  of the picture in which the segment was found
    """
    x0, y0, x1, y1 = segment
    long = math.hypot(x1 - x0, y1 - y0)
    t = np.linspace(0, 1, max(2, round(long)), dtype=np.float32)
    step = max(0.5, factor)
    offsets = np.arange(-BESIDE, BESIDE + step / 2, step, dtype=np.float32)[:, None]
    x = (x0 + (x1 - x0) * t + offsets * np.float32((y0 - y1) / long) + 0.5) / np.float32(factor) - 0.5
    y = (y0 + (y1 - y0) * t + offsets * np.float32((x1 - x0) / long) + 0.5) / np.float32(factor) - 0.5
    across = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    across = cv2.blur(across.astype(np.float32) / 255, (ALONG, 1))
    middle = across[len(across) // 4 : -(len(across) // 4)]
    own = middle.max(axis=0) if bright else middle.min(axis=0)
    sides = across[[0, -1]]
    steps = np.abs(sides[:, 2 * ALONG :: ALONG] - sides[:, : -2 * ALONG : ALONG])
    crossed = int((steps > EDGE).sum(axis=1).min())
    return crossed >= (BRIGHT_EDGES if bright else DARK_EDGES) and bool(
        own.std() <= STEADY * sides.std(axis=1).min()
    )


def _ways(scratches: Iterable[Segment], factor: float, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return where scratches run in the photo, H×W: a little wider and longer than they were found."""
    ways = np.zeros(shape, np.uint8)
    for x0, y0, x1, y1 in scratches:
        ends = (np.array([[x0, y0], [x1, y1]]) + 0.5) / factor
        along = BEYOND * (ends[1] - ends[0])
        before, after = np.rint([ends[0] - along, ends[1] + along]).astype(int).tolist()
        cv2.line(ways, before, after, 1, math.ceil(3 / factor))
    return ways
