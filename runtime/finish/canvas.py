"""The photo enlarged: what the restored faces are pasted into, unless the rest of it is restored too."""

from typing import cast

import cv2

from runtime.network.monochrome import is_grey
from runtime.pixels import Pixels


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
