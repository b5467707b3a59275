"""A changed piece of a photo."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Picture, Pixels, Rectangle


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of a photo."""

    x: int
    y: int
    """Where in the photo its first pixel lies."""

    pixels: Pixels

    def change(self, photo: Pixels, rectangle: Rectangle) -> Picture:
        """Return this piece minus the photo in x0, y0, x1, y1 of the photo, in units of full scale; 0
        outside."""
        x0, y0, x1, y1 = rectangle
        change = np.zeros((y1 - y0, x1 - x0, 3), np.float32)
        height, width = self.pixels.shape[:2]
        left, right = max(x0, self.x), min(x1, self.x + width)
        top, bottom = max(y0, self.y), min(y1, self.y + height)
        if left < right and top < bottom:
            piece = self.pixels[top - self.y : bottom - self.y, left - self.x : right - self.x]
            within = np.s_[top - y0 : bottom - y0, left - x0 : right - x0]
            change[within] = piece.astype(np.float32) - photo[top:bottom, left:right]
        return np.asarray(change / np.float32(np.iinfo(photo.dtype).max), np.float32)

    def changed(self, photo: Pixels, rectangle: Rectangle) -> NDArray[np.bool_]:
        """Return where this piece differs from the photo in x0, y0, x1, y1 of the photo, H×W."""
        return np.asarray(self.change(photo, rectangle).any(axis=2))

    def enlarged(self, factor: int) -> "Patch":
        """Return the piece for the photo enlarged by a factor."""
        if factor == 1:
            return self
        height, width = self.pixels.shape[:2]
        size = (width * factor, height * factor)
        larger = cv2.resize(self.pixels, size, interpolation=cv2.INTER_LANCZOS4)
        return Patch(self.x * factor, self.y * factor, cast(Pixels, larger))
