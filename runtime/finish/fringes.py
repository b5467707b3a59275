"""Desaturate purple fringes, which fast lenses produce beside strong edges.

A fringe is a thin band of purple or magenta between bright and dark. A purple dress is too wide, and lips
have another hue. Colours are judged as in studio light, since at dusk whole faces are purple. That light is
estimated from the skin, and skins differ: by such an estimate grey may look a little purple. So in a photo
that was brought to studio light a fringe must be more colourful than the estimate's error.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.finish.compose import in_colours
from runtime.finish.surroundings import Surroundings
from runtime.pixels import Picture, Pixels, as_float, greatest_channel, least_channel, ramp, smoothstep

HUES = (235.0, 260.0, 315.0, 338.0)
"""Degrees: purple begins at the first, is full from the second to the third, and ends at the last."""

WIDTH = 1 / 64
"""Width of the widest fringe, in crop widths; wider areas keep their colour."""
WIDEST = 16
"""The same, at most, in photo pixels."""

EDGE = (0.2, 0.4)
"""Change of brightness at which an edge begins to count as strong, and at which it fully counts."""

FAINT = (0.1, 0.22)
"""Difference between the strongest and the weakest channel at which purple begins to count, and at which it
fully counts. In 9 of 10 clean faces purple beside strong edges has at most 0.15.
"""

DOUBT = (0.15, 0.35)
"""Difference between the strongest and the weakest channel at which purple begins to count, and at which it
fully counts, where studio light is an estimate. Skin far from the median colours grey by 0.1 to 0.2.
"""
CHANGED = math.log(2)
"""Change of light, as the natural logarithm of a gain or as an offset, from which the doubt is full."""

MOST = 0.9
"""The largest share of its colour that a fringe loses."""


def fringe_reach(crop_width: float) -> int:
    """Return the greatest width of a fringe in photo pixels, for a crop that is `crop_width` of them wide."""
    return max(2, min(WIDEST, math.ceil(WIDTH * crop_width)))


def fringe_margin(aligned: AlignedFace) -> int:
    """Return how far around a pixel the photo is read, in photo pixels."""
    return 3 * _reach(aligned)


def without_fringes(composed: Picture, around: Surroundings) -> Picture:
    """Return composed pixels of a face, with less colour where the photo has purple fringes."""
    reach = _reach(around.aligned)
    return desaturate_fringes(composed, around.photo, around.inside, reach, around.gain, around.offset)


def _reach(aligned: AlignedFace) -> int:
    return fringe_reach(aligned.scale * len(aligned.crop))


def desaturate_fringes(
    composed: Picture,
    photo: Pixels,
    inside: tuple[slice, slice],
    reach: int,
    gain: NDArray[np.floating] | float = 1.0,
    offset: NDArray[np.floating] | float = 0.0,
) -> Picture:
    """Return the composed pixels, with less colour where the photo has purple fringes; brightness stays.

    composed  H×W×3 in [0, 1]
    photo     uint8 or uint16 RGB, with a margin around the composed pixels
    inside    where in `photo` the composed pixels lie
    reach     width of the widest fringe in pixels
    gain      factors that bring the channels of both to studio light, 3
    offset    added after the gain, 3
    """
    share = fringe_map(photo, reach, gain, offset)[inside]
    if not share.any():
        return composed
    studio = np.asarray(composed * gain + offset, np.float32)
    grey = in_colours(np.asarray(cv2.cvtColor(studio, cv2.COLOR_RGB2GRAY), np.float32))
    return np.asarray(composed + in_colours(np.float32(MOST) * share) * (grey - studio) / gain, np.float32)


def fringe_map(
    photo: Pixels,
    reach: int,
    gain: NDArray[np.floating] | float = 1.0,
    offset: NDArray[np.floating] | float = 0.0,
) -> NDArray[np.float32]:
    """Return how strongly each pixel belongs to a fringe: H×W in [0, 1], continuous."""
    picture = np.asarray(np.clip(as_float(photo) * gain + offset, 0, 1), np.float32)
    hue = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 0]
    chroma = greatest_channel(picture) - least_channel(picture)
    start, full, last, end = HUES
    purple: NDArray[np.float32] = chroma * ramp(hue, start, full) * smoothstep((end - hue) / (end - last))
    purple *= ramp(chroma, *FAINT)
    purple *= 1 - np.float32(_doubt(gain, offset)) * (1 - ramp(chroma, *DOUBT))
    if not purple.any():
        return purple
    square = np.ones((reach + 1, reach + 1), np.uint8)
    thin = cv2.morphologyEx(purple, cv2.MORPH_TOPHAT, square)  # without what is wider than a fringe
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    change = cv2.dilate(grey, around) - cv2.erode(grey, around)
    weak, strong = EDGE
    share = ramp(change, weak, strong) * thin / np.maximum(chroma, np.float32(0.02))
    return np.asarray(cv2.GaussianBlur(share, (0, 0), reach / 6), np.float32)


def _doubt(gain: NDArray[np.floating] | float, offset: NDArray[np.floating] | float) -> float:
    """Return how far studio light is an estimate: 0 in a photo that is left as it is, at most 1."""
    changed = max(float(np.abs(np.log(gain)).max()), float(np.abs(offset).max()))
    return min(1.0, changed / CHANGED)
