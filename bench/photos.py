"""Make photos of any size with any number of faces: one portrait, pasted repeatedly on a neutral
background."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Photo = NDArray[np.uint8]
"""H×W×3, RGB."""

TILE = 697
"""Pixels of the square around each face, where the photo has room: its crop then covers about 512."""
NOISE = 4.0
"""Standard deviation of the background's grain, in levels."""
QUALITY = 92
"""Of the JPEG files."""
BLOCK = 512
"""Side of the square of grain that is tiled, because new grain for every photo would take long."""


def photo_with_faces(megapixels: float, faces: int) -> Photo:
    """Return a 4:3 photo with the given number of faces in a grid; the result is always the same.

    The face is that of Eileen Collins (NASA, public domain), from scikit-image.
    """
    from skimage.data import astronaut

    height, width = round(math.sqrt(megapixels * 1e6 * 3 / 4)), round(math.sqrt(megapixels * 1e6 * 4 / 3))
    photo = _background(height, width)
    portrait = np.ascontiguousarray(astronaut()[:256, 96:352])  # type: ignore[no-untyped-call]
    cells = list(_cells(height, width, faces))
    side = min(TILE, *(int(0.95 * size) for cell in cells for size in cell[2:]))
    shrinks = side < len(portrait)
    tile = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    for top, left, high, wide in cells:
        y, x = top + (high - side) // 2, left + (wide - side) // 2
        photo[y : y + side, x : x + side] = tile
    return photo


def save_photo(path: Path, megapixels: float, faces: int) -> None:
    """Write such a photo as JPEG."""
    Image.fromarray(photo_with_faces(megapixels, faces)).save(path, quality=QUALITY)


def _cells(height: int, width: int, count: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut the photo into a grid for so many faces; yield top, left, height and width of each."""
    columns = math.ceil(math.sqrt(count * width / height))
    rows = math.ceil(count / columns)
    for i in range(count):
        row, column = divmod(i, columns)
        yield row * height // rows, column * width // columns, height // rows, width // columns


def _background(height: int, width: int) -> Photo:
    """Return soft clouds of colour with a little grain."""
    rng = np.random.default_rng(0)
    clouds = rng.uniform(60, 190, (6, 8, 3)).astype(np.float32)
    grain = rng.normal(0, NOISE, (BLOCK, BLOCK, 3)).astype(np.float32)
    photo = np.empty((height, width, 3), np.uint8)
    smooth = cv2.resize(clouds, (width // 4 + 1, height // 4 + 1), interpolation=cv2.INTER_CUBIC)
    for top in range(0, height, BLOCK):
        rows = cv2.resize(smooth[top // 4 : (top + BLOCK) // 4], (width, min(BLOCK, height - top)))
        beside = np.tile(grain[: len(rows)], (1, -(-width // BLOCK), 1))[:, :width]
        photo[top : top + BLOCK] = np.clip(np.rint(rows + beside), 0, 255)
    return photo
