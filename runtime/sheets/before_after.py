"""A labelled before/after sheet of a photo and its faces."""

import itertools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from base.files import write_atomically
from runtime.faces.align import cut_out, scaled
from runtime.pixels import Pixels, eight_bit
from runtime.result import RestoreResult
from runtime.sheets.labelled_faces import labelled_faces

PHOTO = 720
"""Longest side of the two pictures of the whole photo."""
FACE = 352
"""Side of a face."""
MAX_FACES = 12
MARGIN = 16
LABEL = 26
PAPER, INK = "white", "black"

Tile = NDArray[np.uint8]


def write_sheet(path: Path, before: Pixels, result: RestoreResult) -> None:
    """Write a PNG with the photo before and after side by side, and its largest faces below in the same way.

    Faces that were left out are shown too, and marked.

    before  H×W×3 uint8 or uint16 RGB, the input of the restoration
    """
    pairs = [("photo", fitted(before, PHOTO), fitted(result.photo, PHOTO))]
    factor = result.settings.upscale
    for label, face in itertools.islice(labelled_faces(before, result, FACE).items(), MAX_FACES):
        after = cut_out(result.photo, scaled(face, factor).to_photo, len(face.crop))
        pairs.append((label, face_tile(face.crop), face_tile(after)))
    with write_atomically(path) as file:
        _draw(pairs).save(file, "PNG")


def _draw(pairs: list[tuple[str, Tile, Tile]]) -> Image.Image:
    """Place the photo's pair on top and the faces' pairs below, as many per row as fit the photo's width."""
    font = ImageFont.load_default(17)
    width = 3 * MARGIN + sum(tile.shape[1] for tile in pairs[0][1:])
    width = max(width, 3 * MARGIN + 2 * FACE)
    places = []
    x, y, row_height = MARGIN, MARGIN, 0
    for i, pair in enumerate(pairs):
        pair_width = sum(tile.shape[1] for tile in pair[1:]) + MARGIN
        if i == 1 or (x > MARGIN and x + pair_width + MARGIN > width):
            x, y, row_height = MARGIN, y + row_height, 0
        places.append((x, y))
        x += pair_width + MARGIN
        row_height = max(row_height, max(tile.shape[0] for tile in pair[1:]) + LABEL + MARGIN)
    sheet = Image.new("RGB", (width, y + row_height), PAPER)
    pen = ImageDraw.Draw(sheet)
    for (name, *tiles), (left, top) in zip(pairs, places, strict=True):
        for label, tile in zip((f"{name}, before", "after"), tiles, strict=True):
            pen.text((left, top), label, INK, font)
            sheet.paste(Image.fromarray(tile), (left, top + LABEL))
            left += tile.shape[1] + MARGIN
    return sheet


def fitted(photo: Pixels, side: int) -> Tile:
    """Resize the photo to the given longest side, enlarging it at most to that; 8 bits."""
    height, width = photo.shape[:2]
    factor = side / max(height, width)
    shape = max(1, round(width * factor)), max(1, round(height * factor))
    fitted = cv2.resize(photo, shape, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return eight_bit(fitted)


def face_tile(crop: NDArray[np.float32]) -> Tile:
    """Convert a crop, S×S×3 in [0, 1], to a tile for sheets: FACE×FACE×3."""
    interpolation = cv2.INTER_AREA if len(crop) > FACE else cv2.INTER_CUBIC
    resized = cv2.resize(crop, (FACE, FACE), interpolation=interpolation)
    return np.asarray(np.rint(np.clip(resized, 0, 1) * 255), np.uint8)
