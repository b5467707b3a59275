"""The step of the renewed loop, for packages whose own step was exported for another loop."""

import numpy as np
from numpy.typing import NDArray

from runtime.network.backends.protocol import Batch

_TINY = np.finfo(np.float32).tiny


def moved(estimate: Batch, restored: Batch, gain: NDArray[np.float32]) -> tuple[Batch, NDArray[np.float32]]:
    """Return the estimate moved towards r, and its relative change, B: see `Backend.step`.

    gain  B×1×S×S
    """
    pixels = (1, 2, 3)
    change = gain * (restored - estimate)
    moving = gain.mean(axis=pixels) / np.maximum(gain.max(axis=pixels), _TINY)
    squares = np.square(change).mean(axis=pixels)
    return estimate + change, np.asarray(np.sqrt(squares / np.maximum(moving, _TINY)) / 2, np.float32)
