"""Restore a photo strip by strip, so that memory does not grow with the photo's height. Tiles overlap by the
network's receptive field, so that tiles of any size give the same picture.
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
    """Some rows of a restored photo, with as many around them as later steps read."""

    top: int
    bottom: int
    """The rows, of the photo, that this strip is to make."""
    first: int
    """The row, of the photo, with which `picture` begins."""
    picture: Picture
    """The restored rows, at `scale` times the photo's size."""


def strips(photo: Pixels, network: PhotoNetwork, scale: int, margin: int) -> Iterator[Strip]:
    """Yield the restored photo from top to bottom.

    scale   of the result; the network's factor or less
    margin  rows of the photo that a strip contains above and below, as far as the photo extends
    """
    height = len(photo)
    held, first = np.empty((0, photo.shape[1] * scale, 3), np.float32), 0
    top = 0
    for row in range(0, height, network.rows):
        held = np.concatenate([held, _row_of_tiles(photo, network, row, scale)])
        done = min(height, row + network.rows)
        while top < height and (done == height or top + network.rows + margin <= done):
            bottom = min(height, top + network.rows)
            end = min(height, bottom + margin)
            yield Strip(top, bottom, first, held[: (end - first) * scale])
            top = bottom
            passed = max(0, top - margin) - first
            held, first = held[passed * scale :], first + passed


def _row_of_tiles(photo: Pixels, network: PhotoNetwork, row: int, scale: int) -> Picture:
    """Return all tiles that start in a row, side by side."""
    height, width = photo.shape[:2]
    rows = min(network.rows, height - row)
    joined = np.empty((rows * scale, width * scale, 3), np.float32)
    starts = range(0, width, network.columns)
    tiles = one_ahead(lambda column: network.tile(photo, row, column), starts)
    for column, own in zip(starts, tiles, strict=True):
        columns = min(network.columns, width - column)
        tile = network.restored(own)[: rows * network.factor, : columns * network.factor]
        if scale < network.factor:
            size = (columns * scale, rows * scale)
            tile = np.asarray(cv2.resize(tile, size, interpolation=cv2.INTER_AREA), np.float32)
        joined[:, column * scale : (column + columns) * scale] = tile
    return joined
