"""Find the parts of a face that are hidden by something worn or held, or made unrecognisable on purpose.

A small network looks at the middle of the crop. It was trained (`training/covered/`) on portraits over which
masks, lenses, bars, mosaics, blurred areas, hands and other things had been drawn, and on beards, spectacles,
fringes, hats, shadows and damage, which hide nothing.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.onnx_session import open_network, run_network
from runtime.pixels import Crop, Map

BUNDLED = Path(__file__).parents[1] / "data" / "covered.onnx"

WHAT = "the network for covered faces"

INPUT = 128
"""Side of the network's input; its output has half of it."""

WINDOW = ((0.12, 0.88), (0.17, 0.93))
"""What the network sees: start and end along x and y, as shares of the crop's side."""


def covered_map(crop: Crop, grid: int) -> Map:
    """Return the probability that each pixel is hidden, grid×grid in [0, 1]; 0 outside the network's window.

    It is the mean over the crop and its mirror image: what the network sees in only one of them is seldom
    there.

    crop  S×S×3 in [0, 1], in the photo's own colours

    Raises BackendError if ONNX Runtime is missing or fails.
    """
    (x0, x1), (y0, y1) = (tuple(round(share * len(crop)) for share in ends) for ends in WINDOW)
    seen = cv2.resize(crop[y0:y1, x0:x1], (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    sure = (_found(seen) + _found(seen[:, ::-1])[:, ::-1]) / np.float32(2)
    (x0, x1), (y0, y1) = (tuple(round(share * grid) for share in ends) for ends in WINDOW)
    found = np.zeros((grid, grid), np.float32)
    found[y0:y1, x0:x1] = cv2.resize(sure, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    return found


def _found(window: NDArray[Any]) -> NDArray[np.float32]:
    batch = np.ascontiguousarray(window.transpose(2, 0, 1)[None], np.float32)
    return np.asarray(run_network(_network(), ["covered"], {"window": batch}, WHAT)[0][0, 0], np.float32)


@lru_cache(maxsize=1)
def _network() -> Any:
    return open_network(BUNDLED, threads=1, what=WHAT)
