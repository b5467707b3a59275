"""Give a faded or yellowed photo its range back: one monotone curve for each colour channel.

Each curve takes the colour of the photo's darkest pixels towards black and that of its brightest towards
white. Where those are neutral all curves are alike, so that grey stays grey. The gain, and how much it may
differ between channels, are bounded; and no face's skin may lose the order of its channels.
"""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.face import Face
from runtime.pixels import LUMA, Pixels, as_float

SAMPLES = 512
"""The photo is measured at no more than about this many rows and columns."""
ENDS = 0.01
"""Share of the pixels that count as the darkest, and as the brightest."""
BLACK, WHITE = 0.02, 0.97
"""Where the ends of the range go."""
DARKER, BRIGHTER = 0.15, 0.2
"""How far they may go at most: what is misty or dark in a photo stays so."""
MOST_GAIN = 1.6
CAST = 0.12
"""How far the darkest and brightest pixels of one channel may lie from grey for that to be a cast."""
LEAST = 0.01
"""A smaller change is none."""
WEIGHTS = LUMA.astype(np.float32)

Curves = NDArray[Any]
"""N×3: the new value of each level in each channel."""


def with_restored_tones(pixels: Pixels, photo: Pixels, faces: Iterable[Face] = ()) -> Pixels:
    """Return pixels with the curves that a photo needs; the pixels themselves if it needs none.

    pixels  the photo, restored: H×W×3 uint8 or uint16, perhaps enlarged
    photo   the original photo
    faces   in that photo
    """
    curves = tone_curves(photo, faces)
    if curves is None:
        return pixels
    if pixels.dtype == np.uint8:
        return np.asarray(cv2.LUT(pixels, curves[None]), np.uint8)
    result = np.empty_like(pixels)
    for c in range(3):
        result[..., c] = curves[:, c][pixels[..., c]]
    return result


def tone_curves(photo: Pixels, faces: Iterable[Face] = ()) -> Curves | None:
    """Return the curves that a photo needs, with its dtype; None if its range is full and neutral."""
    dark, bright = _ends(photo)
    skins = [skin for face in faces if (skin := _skin(photo, face)) is not None]
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        knots = _knots(dark, bright, share)
        if all(_plausible(skin, knots) for skin in skins):
            break
    if max(abs(before - after) for each in knots for before, after in each) < LEAST:
        return None
    top = np.iinfo(photo.dtype).max
    levels = np.arange(top + 1, dtype=np.float32) / np.float32(top)
    curves = np.stack([_curve(levels, each) for each in knots], axis=1)
    return np.asarray(np.rint(curves * top), photo.dtype)


def _ends(photo: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean colours of the darkest and of the brightest pixels, each 3 in [0, 1]."""
    steps = [max(1, side // SAMPLES) for side in photo.shape[:2]]
    colours = as_float(photo[:: steps[0], :: steps[1]]).reshape(-1, 3)
    light = colours @ WEIGHTS
    low, high = np.quantile(light, [ENDS, 1 - ENDS])
    return colours[light <= low].mean(axis=0), colours[light >= high].mean(axis=0)


Knots = tuple[tuple[float, float], tuple[float, float]]
"""Where the darkest and where the brightest pixels are, and where they go."""


def _knots(dark: NDArray[np.float32], bright: NDArray[np.float32], share: float) -> list[Knots]:
    """Return the knots of each channel.

    share  of the difference between the channels that is corrected
    """
    low, high = float(dark @ WEIGHTS), float(bright @ WEIGHTS)
    black, white = min(low, max(BLACK, low - DARKER)), max(high, min(WHITE, high + BRIGHTER))
    lows = low + share * np.clip(dark - low, -CAST, CAST)
    highs = high + share * np.clip(bright - high, -CAST, CAST)
    span = max(float((highs - lows).min()), 1e-3)
    wider = max(white - black - span, 1e-6)
    bounded = min(1.0, max(0.0, (MOST_GAIN - 1) * span / wider))  # how much of it the gain allows
    return [
        ((a, a + bounded * (black - a)), (b, b + bounded * (white - b)))
        for a, b in zip(lows.tolist(), highs.tolist(), strict=True)
    ]


def _curve(levels: NDArray[np.float32], knots: Knots) -> NDArray[np.float32]:
    """Return the new values of levels in [0, 1]: lines between black, the two knots and white."""
    (low, black), (high, white) = knots
    return np.asarray(np.interp(levels, [0, low, high, 1], [0, black, white, 1]), np.float32)


def _skin(photo: Pixels, face: Face) -> NDArray[np.float32] | None:
    x0, y0, x1, y1 = face.box
    width, height = (x1 - x0) / 4, (y1 - y0) / 4
    left, top = max(0, round(x0 + width)), max(0, round(y0 + height))
    piece = photo[top : max(top, round(y1 - height)), left : max(left, round(x1 - width))]
    return as_float(piece).reshape(-1, 3).mean(axis=0) if piece.size else None


def _plausible(skin: NDArray[np.float32], knots: list[Knots]) -> bool:
    """Return whether skin keeps the order of its channels, red before green before blue, where it has it."""
    after = [float(_curve(skin[c : c + 1], knots[c])[0]) for c in range(3)]
    pairs = ((0, 1), (1, 2))
    return all(after[a] >= after[b] for a, b in pairs if skin[a] >= skin[b])
