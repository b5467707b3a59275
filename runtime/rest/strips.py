"""Run the photo network strip by strip, so that memory does not grow with the photo's height.

Tiles overlap by as much as the network sees, so that tiles of any size give the same picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from base.parallel import one_ahead
from runtime.pixels import Picture, Pixels
from runtime.rest.network import PhotoNetwork


@dataclass(frozen=True, eq=False)
class Strip:
    """What the network makes of some rows of a photo, with as many around them as later steps read."""

    top: int
    bottom: int
    """The rows, of the photo, that this strip is to make."""
    first: int
    """The row, of the photo, with which `answer` begins."""
    answer: Picture
    """The network's answer, at `scale` times the photo's size; valid until the next strip is made."""


def strips(photo: Pixels, network: PhotoNetwork, scale: int, margin: int) -> Iterator[Strip]:
    """Yield what the network makes of a photo, from top to bottom.

    scale   how many times larger the result is; at most the network's factor
    margin  rows of the photo that a strip contains above and below, as far as the photo extends
    """
    height, width = photo.shape[:2]
    rows = min(height, network.rows + 2 * margin)
    held = np.empty((rows * scale, width * scale, 3), np.float32)
    first, top = 0, 0
    for row in range(0, height, network.rows):
        end = min(height, row + network.rows)
        _answer_row(photo, network, row, scale, held[(row - first) * scale : (end - first) * scale])
        bottom = end if end == height else end - margin
        if bottom > top:
            yield Strip(top, bottom, first, held[: (end - first) * scale])
            top = bottom
        passed = max(first, top - margin)
        left = (end - passed) * scale
        held[:left] = held[(passed - first) * scale :][:left].copy()
        first = passed


def _answer_row(photo: Pixels, network: PhotoNetwork, row: int, scale: int, into: Picture) -> None:
    """Write the network's answers for all tiles that start in a row, side by side.

    into  the rows to write, as high as the tiles or as what is left of the photo, at `scale`
    """
    rows, starts = len(into) // scale, range(0, photo.shape[1], network.columns)
    tiles = one_ahead(lambda column: network.tile(photo, row, column), starts)
    for column, tile in zip(starts, tiles, strict=True):
        columns = min(network.columns, photo.shape[1] - column)
        answer = network.answer(tile)[: rows * network.factor, : columns * network.factor]
        if scale < network.factor:
            size = (columns * scale, rows * scale)
            answer = np.asarray(cv2.resize(answer, size, interpolation=cv2.INTER_AREA), np.float32)
        into[:, column * scale : (column + columns) * scale] = answer
