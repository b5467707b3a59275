"""The rest of the photo, into which the restored faces are pasted.

It is the photo, enlarged if requested. To add an enhancer of the rest of the photo, write its module,
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
    """Takes a photo, which it must not change, and a factor; returns the photo enhanced and enlarged by that
    factor, with the same dtype."""


ENHANCERS: tuple[Enhancer, ...] = ()
"""The first one that is switched on is used."""


def canvas_of(photo: Pixels, settings: RestoreSettings) -> Pixels | None:
    """Return the photo enhanced and enlarged; None if no enhancer is switched on."""
    for enhancer in ENHANCERS:
        if getattr(settings, enhancer.setting):
            return enhancer.enhance(photo, settings.upscale)
    return None


def enlarged(photo: Pixels, factor: int) -> Pixels:
    """Return a writable copy, enlarged by Lanczos resampling."""
    if factor == 1:
        return cast(Pixels, photo.copy())
    height, width = photo.shape[:2]
    size = (width * factor, height * factor)
    if is_grey(photo):  # one channel is enough, and floating-point sums of three might differ
        grey = cv2.resize(photo[..., 0], size, interpolation=cv2.INTER_LANCZOS4)
        return cast(Pixels, cv2.merge([grey] * 3))
    return cast(Pixels, cv2.resize(photo, size, interpolation=cv2.INTER_LANCZOS4))
