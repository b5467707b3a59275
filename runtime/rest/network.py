"""The photo network: what restores a tile of the rest of the photo."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError
from base.text import cause_of
from runtime.pixels import Picture, Pixels

Factor = Literal[1, 2, 4]
Tile = NDArray[np.float32]
"""1×3×H×W, RGB in [0, 1]."""

ALIGNED = 8
"""Tiles start at multiples of this many pixels, since networks work on blocks of 2, 4 or 8."""


@dataclass(frozen=True, eq=False)
class PhotoNetwork:
    """An open photo network, which restores tiles of one size."""

    name: str
    """What the user calls it: `photo`, or a file."""
    where: str
    """What runs it, in words."""
    run: Callable[[Tile], Tile]
    """Takes a tile with `overlap` more pixels on each side; returns its result for the whole tile or the
    inner part."""
    rows: int
    columns: int
    """Size of a tile without its overlap, in pixels of the photo."""
    overlap: int
    """How far a pixel of the result depends on the photo around it."""
    factor: Factor = 1
    """How much larger the result is than the photo."""
    adds: bool = False
    """Whether `run` returns what is to be added to the inner part, instead of a picture."""

    def tile(self, photo: Pixels, row: int, column: int) -> Tile:
        """Return a tile with its overlap; beyond the photo it is mirrored.

        row, column  where the tile starts in the photo, without its overlap
        """
        around = _mirrored(
            photo,
            (row - self.overlap, row + self.rows + self.overlap),
            (column - self.overlap, column + self.columns + self.overlap),
        )
        tile = np.empty((1, 3, *around.shape[:2]), np.float32)
        for own, plane in zip(tile[0], cv2.split(around), strict=True):
            np.multiply(plane, np.float32(1 / np.iinfo(photo.dtype).max), out=own)
        return tile

    def answer(self, tile: Tile) -> Picture:
        """Return what `run` makes of a tile without its overlap, rows·factor × columns·factor × 3.

        Raises BackendError if the network fails or its result is not finite.
        """
        try:
            result = self.run(tile)
        except Exception as error:  # the runtimes' own exceptions have no common base
            raise BackendError(f"the photo network {self.name} failed: {cause_of(error)}") from error
        if not np.isfinite(result).all():
            raise BackendError(f"the photo network {self.name} returned numbers that are not finite")
        edge = (result.shape[2] - self.rows * self.factor) // 2
        inner = result[0, :, edge : result.shape[2] - edge, edge : result.shape[3] - edge]
        return np.asarray(cv2.merge(list(inner)), np.float32)


def _mirrored(photo: Pixels, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
    """Return a part of a photo that may reach beyond it."""
    height, width = photo.shape[:2]
    inside = photo[
        max(0, rows[0]) : max(0, min(height, rows[1])), max(0, columns[0]) : min(width, columns[1])
    ]
    beyond = (max(0, -rows[0]), max(0, rows[1] - height), max(0, -columns[0]), max(0, columns[1] - width))
    bordered: Pixels = cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REFLECT)  # type: ignore[assignment]
    return bordered
