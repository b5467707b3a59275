"""The rest of the photo: what the restored faces are pasted into.

It is the photo, enlarged if that is asked for. To add an enhancer of the rest of the photo, write its module,
add a row to ENHANCERS, and declare its switch as a field of RestoreSettings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cv2

from runtime.network.monochrome import is_grey
from runtime.pixels import Pixels
from runtime.settings.settings import RestoreSettings


@dataclass(frozen=True)
class Enhancer:
    """One way to enhance the rest of the photo."""

    setting: str
    """The field of RestoreSettings that switches it on."""
    enhance: Callable[[Pixels, int], Pixels]
    """Takes a photo, which it leaves as it is, and a factor; returns the photo enhanced and so many times as
    large, with the same dtype."""


ENHANCERS: tuple[Enhancer, ...] = ()
"""The first one that is switched on is used."""


def canvas_of(photo: Pixels, settings: RestoreSettings) -> Pixels | None:
    """Return the photo as an enhancer makes it, enlarged; None where none is switched on."""
    for enhancer in ENHANCERS:
        if getattr(settings, enhancer.setting):
            return enhancer.enhance(photo, settings.upscale)
    return None


def enlarged(photo: Pixels, factor: int) -> Pixels:
    """Return a copy that may be written to, enlarged by Lanczos resampling."""
    if factor == 1:
        return cast(Pixels, photo.copy())
    height, width = photo.shape[:2]
    size = (width * factor, height * factor)
    if is_grey(photo):  # in one channel: of three, floating-point sums might differ
        grey = cv2.resize(photo[..., 0], size, interpolation=cv2.INTER_LANCZOS4)
        return cast(Pixels, cv2.merge([grey] * 3))
    return cast(Pixels, cv2.resize(photo, size, interpolation=cv2.INTER_LANCZOS4))
