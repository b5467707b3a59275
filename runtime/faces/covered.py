"""Find the parts of a face that are hidden by something worn or held, or made unrecognisable on purpose.

A small network looks at the middle of the crop twice. It was trained (`training/covered/`) on portraits over
which masks, lenses, bars, mosaics, blurred areas, hands and other things had been drawn, and on beards,
spectacles, fringes, hats, shadows and damage, which hide nothing.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from runtime.faces.areas import Area
from runtime.onnx_session import open_network, run_network
from runtime.pixels import Crop, Map, Picture

BUNDLED = Path(__file__).parents[1] / "data" / "covered.onnx"

WHAT = "the network for covered faces"

INPUT = 128
"""Side of the network's input; its output has half of it."""

Window = tuple[tuple[float, float], tuple[float, float]]
"""Start and end along x and y, as shares of a picture's side."""

WINDOW: Window = ((0.12, 0.88), (0.17, 0.93))
"""What the network sees of a crop."""
NEARER: Window = ((0.18, 0.82), (0.25, 0.89))
"""What it sees of the mirror image."""

BRIGHT, USUAL = 0.98, 0.8
"""Quantile of a window's values that tells how bright it is, and its least value in usual light."""


def covered_map(crop: Crop, grid: int) -> Map:
    """Return the probability that each pixel is hidden, grid×grid in [0, 1]; 0 outside the network's window.

    It is the mean over the crop and its mirror image, which is seen from nearer and in usual light: what the
    network finds in only one of them is seldom there. From nearer, it finds small covers that it misses from
    afar, and seldom takes shaded eyes for lenses. But in a dark photo it would miss lenses too.

    crop  S×S×3 in [0, 1], in the photo's own colours

    Raises BackendError if ONNX Runtime is missing or fails.
    """
    found = np.zeros((grid, grid), np.float32)
    whole, middle = (found[_window(window, grid)] for window in (WINDOW, NEARER))
    whole[:] = _found(_seen(crop, WINDOW), whole.shape)
    mirrored = _in_usual_light(_seen(crop, NEARER)[:, ::-1])
    middle[:] = (middle + _found(mirrored, middle.shape)[:, ::-1]) / 2
    return found


def continued(area: Area) -> Area:
    """Return an area, G×G, continued straight down where it reaches the lower edge of the network's window.

    Much of what is worn or held is longer than that.
    """
    end = _window(WINDOW, len(area))[0].stop
    return np.concatenate((area[:end], area[end:] | area[end - 1]))


def _window(window: Window, side: int) -> tuple[slice, slice]:
    """Return the rows and columns of a window in a picture of a side."""
    columns, rows = (slice(*(round(share * side) for share in ends)) for ends in window)
    return rows, columns


def _seen(crop: Crop, window: Window) -> Picture:
    seen = cv2.resize(crop[_window(window, len(crop))], (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    return np.asarray(seen, np.float32)


def _in_usual_light(seen: Picture) -> Picture:
    """Return what is seen of a dark crop brighter."""
    brightness = max(float(np.quantile(seen, BRIGHT)), 1 / 255)
    return seen if brightness >= USUAL else np.minimum(seen * np.float32(USUAL / brightness), 1)


def _found(seen: Picture, shape: tuple[int, ...]) -> Map:
    """Return what the network finds, as a map of a shape."""
    batch = np.ascontiguousarray(seen.transpose(2, 0, 1)[None], np.float32)
    sure = run_network(_network(), ["covered"], {"window": batch}, WHAT)[0][0, 0]
    return np.asarray(cv2.resize(sure, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


@lru_cache(maxsize=1)
def _network() -> Any:
    return open_network(BUNDLED, threads=1, what=WHAT)
