"""A labelled before/after sheet of a photo and its faces."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from runtime.faces.align import cut_out, scaled
from runtime.pixels import Pixels, eight_bit
from runtime.result import RestoreResult
from runtime.sheets.labelled_faces import labelled_faces
from runtime.sheets.paper import (
    FACE,
    INK,
    LABEL,
    MARGIN,
    MAX_FACES,
    PAPER,
    Tile,
    face_tile,
    fitted,
    label_font,
    write_png,
)

PHOTO = 720
"""Longest side of the two pictures of the whole photo."""
DETAIL = 128
"""Least side of a detail outside the faces, in pixels of the photo."""
SURVEY = 1024
"""Longest side of the picture in which details are looked for."""

Part = tuple[float, float, float, float]


def write_sheet(path: Path, before: Pixels, result: RestoreResult) -> None:
    """Write a PNG with the photo before and after side by side, and its largest faces below in the same way.

    Faces that were left out are shown too, and marked. If the whole photo was restored, two details outside
    the faces come between.

    before  H×W×3 uint8 or uint16 RGB, the input of the restoration
    """
    pairs = [("photo", fitted(before, PHOTO), fitted(result.photo, PHOTO))]
    if result.settings.scope == "photo":
        for i, part in enumerate(details(before, result)):
            pairs.append((f"detail {i}", _detail_tile(before, part), _detail_tile(result.photo, part)))
    factor = result.settings.upscale
    for label, face in itertools.islice(labelled_faces(before, result, FACE).items(), MAX_FACES):
        after = cut_out(result.photo, scaled(face, factor).to_photo, len(face.crop))
        pairs.append((label, face_tile(face.crop), face_tile(after)))
    write_png(path, _draw(pairs))


def details(before: Pixels, result: RestoreResult) -> Iterator[Part]:
    """Yield the two most informative squares outside the faces, as shares of the photo: left, top, right,
    bottom. The first has the finest structure, the second lies apart and was changed most. A photo filled
    with faces has fewer.
    """
    height, width = before.shape[:2]
    side = min(max(DETAIL, min(height, width) // 8), min(height, width))
    factor = min(1.0, SURVEY / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small, after = (
        cv2.cvtColor(cv2.resize(eight_bit(each), size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        for each in (before, result.photo)
    )
    square = max(1, min(*size, round(side * factor)))
    fine = np.minimum(np.abs(cv2.Laplacian(cv2.blur(after, (3, 3)), cv2.CV_32F)), 20)
    changed = cv2.absdiff(small, after).astype(np.float32)
    free = np.ones((size[1], size[0]), np.float32)
    for face in result.faces:
        _cover(free, tuple(value * factor for value in face.box))
    for measure in (fine, changed):
        free_of = cv2.boxFilter(free, -1, (square, square), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
        score = cv2.boxFilter(measure, -1, (square, square), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
        score = np.where(free_of > 0.999, score, -1)[: size[1] - square + 1, : size[0] - square + 1]
        y, x = map(int, np.unravel_index(int(score.argmax()), score.shape))
        if score[y, x] < 0:
            return
        part = (x / size[0], y / size[1], (x + square) / size[0], (y + square) / size[1])
        _cover(free, (x, y, x + square, y + square))
        yield part


def _cover(free: NDArray[np.float32], box: tuple[float, ...]) -> None:
    x0, y0, x1, y1 = (max(0, round(side)) for side in box)
    free[y0:y1, x0:x1] = 0


def _detail_tile(photo: Pixels, part: Part) -> Tile:
    height, width = photo.shape[:2]
    x0, y0, x1, y1 = (round(share * of) for share, of in zip(part, (width, height) * 2, strict=True))
    piece = eight_bit(photo[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)])
    interpolation = cv2.INTER_AREA if len(piece) > FACE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(piece, (FACE, FACE), interpolation=interpolation), np.uint8)


def _draw(pairs: list[tuple[str, Tile, Tile]]) -> Image.Image:
    """Place the photo's pair on top and the faces' pairs below, as many per row as fit the photo's width."""
    font = label_font()
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
