"""Restore the rest of a photo as far as the settings say, in strips.

The photo network's picture r takes the place of a face's: what is handed back is, as in faces,

    photo′ = r + κ C_σ(photo − r),    κ = (1 − ηρ)^N

where r differs from the photo by no more than the measured noise and JPEG damage explain (`explained.py`),
and, where grain is kept, all of the photo's grain. The colours' local means stay the photo's.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from base.parallel import parallel
from runtime.finish.canvas import enlarged
from runtime.finish.compose import noise_of
from runtime.finish.grain import grain_of
from runtime.finish.noise import SUPPORT
from runtime.network.monochrome import is_grey
from runtime.pixels import Picture, Pixels, as_float
from runtime.rest.explained import WINDOW, explained
from runtime.rest.measured import grain_of_photo, noise_of_photo
from runtime.rest.network import PhotoNetwork
from runtime.rest.strips import strips
from runtime.settings.settings import RestoreSettings

LEAST_SHARE = 0.05
"""A smaller share κ is not handed back: it would be invisible, but take as long as a larger one."""
REACH = 32
"""Colours keep their mean over squares of 2·REACH + 1 pixels of the photo."""
BLOCK = 256
"""Columns that are composed together."""
LANCZOS = 8
"""How far enlarging reads, in pixels, with some to spare."""


@dataclass(frozen=True, eq=False)
class HandedBack:
    """How much of the photo is handed back to its restored rest."""

    kappa: float
    """κ: the share that is left to the photo."""
    sigma: NDArray[np.float32] | float
    """σ of the noise that is not handed back, of each channel."""
    grain: NDArray[np.float32] | None
    """σ of the grain that returns in full, by wavelet band and channel."""
    strength: float


def enhanced(
    photo: Pixels,
    network: PhotoNetwork,
    settings: RestoreSettings,
    done: Callable[[int], None] = lambda rows: None,
) -> Pixels:
    """Return the photo restored as a whole, and enlarged by `upscale`, with its dtype.

    photo  H×W×3 uint8 or uint16 RGB; not changed
    done   called with the number of further rows that are done

    Raises BackendError.
    """
    height, width = photo.shape[:2]
    scale = min(network.factor, settings.upscale)
    back = handed_back(photo, settings, scale)
    damage = explained(photo) if network.adds else None
    margin = REACH + -(-2 * SUPPORT // scale) + (WINDOW if damage else 0)
    grey = is_grey(photo)
    top = np.iinfo(photo.dtype).max
    restored = np.empty((height * scale, width * scale, 3), photo.dtype)
    for strip in strips(photo, network, scale, margin):
        rows = len(strip.picture) // scale
        own = _own(photo, strip.first, strip.first + rows, scale)
        picture = strip.picture
        if damage:
            picture = damage.limit(own, picture - own)
            picture += own
        change = _change(own, picture, back)
        change -= _mean(change, REACH * scale)
        if grey:
            change = np.repeat(change.mean(axis=2, keepdims=True), 3, axis=2)
        inside = slice((strip.top - strip.first) * scale, (strip.bottom - strip.first) * scale)
        finished = np.clip(own[inside] + change[inside], 0, 1)
        restored[strip.top * scale : strip.bottom * scale] = np.rint(finished * np.float32(top))
        done(strip.bottom - strip.top)
    return restored if scale == settings.upscale else enlarged(restored, settings.upscale // scale)


def restores_rest(settings: RestoreSettings) -> bool:
    """Return whether the settings change anything around the faces."""
    return settings.scope == "photo" and settings.strength > 0


def handed_back(photo: Pixels, settings: RestoreSettings, scale: int = 1) -> HandedBack:
    """Return what the settings hand back to the rest of a photo."""
    weights = settings.face_mask_weights
    rho = weights.get("other", weights.get("face", 1.0))
    kappa = max(0.0, 1 - settings.latent_step_decay * rho) ** settings.iterations
    kappa = kappa if kappa >= LEAST_SHARE else 0.0
    return HandedBack(
        kappa,
        noise_of_photo(photo) if kappa and not settings.grain else 0.0,
        grain_of_photo(photo, scale) if settings.grain else None,
        settings.strength,
    )


def _change(own: Picture, restored: Picture, back: HandedBack) -> Picture:
    """Return what is to be added to a strip of the photo, in blocks that fit a core's cache."""
    width = own.shape[1]
    change = np.empty_like(own)

    def block(left: int) -> None:
        around = slice(max(0, left - 2 * SUPPORT), left + BLOCK + 2 * SUPPORT)
        inside = slice(left - around.start, left - around.start + BLOCK)
        composed = _composed(own[:, around], restored[:, around], back)
        change[:, left : left + BLOCK] = back.strength * (composed[:, inside] - own[:, left : left + BLOCK])

    deque(parallel(block, range(0, width, BLOCK)), maxlen=0)
    return change


def _composed(own: Picture, restored: Picture, back: HandedBack) -> Picture:
    """Return r + κ C_σ(photo − r), with the photo's grain if it is kept."""
    if back.grain is not None:
        restored = restored + grain_of(own - restored, back.grain)
    if not back.kappa:
        return restored
    left = own - restored
    if np.any(back.sigma):
        left -= noise_of(left, back.sigma)
    return np.asarray(restored + np.float32(back.kappa) * left, np.float32)


def _mean(change: Picture, reach: int) -> Picture:
    """Return the mean around each pixel; it sums to as much as the change does, so subtracting it keeps the
    photo's mean colour."""
    side = 2 * reach + 1
    return np.asarray(cv2.blur(change, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _own(photo: Pixels, first: int, end: int, scale: int) -> Picture:
    if scale == 1:
        return as_float(photo[first:end])
    above = min(LANCZOS, first)
    rows = photo[first - above : end + LANCZOS]
    size = (rows.shape[1] * scale, rows.shape[0] * scale)
    large = cv2.resize(as_float(rows), size, interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(large[above * scale : (above + end - first) * scale], np.float32)
