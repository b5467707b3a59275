"""Undo changes that are no larger than the rounding of an 8-bit photo.

In unusual light, a faint channel is amplified before the network sees it, and with it the steps of its
rounding. The network takes these steps for noise, but cannot restore what was rounded away. In a blurred face
it also sharpens, and most of that is no larger than a step; so there such changes are kept.
"""

import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Pixels, ramp

Level = NDArray[np.float32]
"""One number per colour channel, in units of full scale."""

COARSE = (1.5, 3.0)
"""Gains from which the rounding of 8 bits shows, and at which it shows fully."""
ROUNDED = (0.4, 0.8)
"""Noise, in levels, that is due to rounding alone (0.29 levels), and noise that hides the rounding."""
BELIEVED = (1.0, 2.5)
"""Changes, in levels, that rounding explains, and changes that it does not explain."""


def rounding_of(dtype: np.dtype[np.integer], noise: Level, gain: Level, trust: float = 1.0) -> Level | None:
    """Return the level of rounding in each channel, 0 where noise hides it; None if it limits no detail.

    The network sees the rounding of the faintest channel, and uses it to judge all channels.

    dtype  of the photo: uint8 or uint16
    noise  standard deviation of the photo's noise in each channel, in units of full scale
    gain   factors that bring each channel to studio light
    trust  the degree to which nothing but noise and rounding damages the face, 0 to 1
    """
    one = 1 / np.iinfo(dtype).max
    coarse = trust * ramp(255 * one * gain.max(), *COARSE)
    if not coarse:
        return None
    level = one * gain.max() / gain
    return np.asarray(coarse * (1 - ramp(noise / level, *ROUNDED)) * level, np.float32)


def keep_rounding(restored: Pixels, photo: Pixels, rounding: Level) -> None:
    """Undo changes that are no larger than the photo's rounding explains, in place.

    restored, photo  H×W×3 uint8 or uint16
    rounding         the result of `rounding_of`
    """
    top = np.float32(np.iinfo(photo.dtype).max)
    for c in np.flatnonzero(rounding):
        before = photo[..., c].astype(np.float32)
        change = restored[..., c] - before
        change *= ramp(np.abs(change) / (top * rounding[c]), *BELIEVED)
        restored[..., c] = np.rint(before + change)
