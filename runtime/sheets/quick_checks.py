"""A labelled sheet of the three quick checks: where each looked, and what it found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runtime.pixels import Crop
from runtime.quick_checks import SIDE, Finding, Places
from runtime.sheets.paper import (
    FACE,
    INK,
    LABEL,
    MARGIN,
    MAX_FACES,
    PAPER,
    Tile,
    face_tile,
    label_font,
    write_png,
)

PICTURES = ("before", "after", "classic")
VIEW = 176
"""Side of a close view."""
CLOSE = {"hair": 112, "highlights": 112, "pupils": 56}
"""Side of the area in a close view, in crop pixels."""
EDGE, SPOT, IRIS = (0, 160, 255), (255, 130, 0), (0, 220, 90)
GOOD, BAD, OPEN = (0, 120, 40), (190, 20, 20), (110, 110, 110)


@dataclass(frozen=True, eq=False)
class CheckedFace:
    """A face and its findings."""

    index: int
    crops: tuple[Crop, Crop, Crop]
    """Before, after, classic; S×S×3 with S = SIDE."""
    places: Places
    findings: dict[str, Finding]

    @property
    def untouched(self) -> bool:
        """Return whether the face is identical to the photo's; never if the photo was enlarged."""
        return np.array_equal(self.crops[0], self.crops[1])


def write_check_sheet(path: Path, faces: Sequence[CheckedFace]) -> None:
    """Write a PNG with the places of the checks on each face, and close views with figures and verdicts."""
    blocks = [_block(face) for face in faces[:MAX_FACES]]
    height = sum(block.height + MARGIN for block in blocks) + MARGIN
    sheet = Image.new("RGB", (max(block.width for block in blocks) + 2 * MARGIN, height), PAPER)
    top = MARGIN
    for block in blocks:
        sheet.paste(block, (MARGIN, top))
        top += block.height + MARGIN
    write_png(path, sheet)


def _block(face: CheckedFace) -> Image.Image:
    """Return the three pictures of a face above one row for each check."""
    font, small = label_font(), ImageFont.load_default(14)
    column, row = FACE + MARGIN, VIEW + 2 * LABEL
    rows = LABEL + FACE + MARGIN
    block = Image.new("RGB", (3 * column - MARGIN, rows + row * len(face.findings)), PAPER)
    pen = ImageDraw.Draw(block)
    for i, (name, crop) in enumerate(zip(PICTURES, face.crops, strict=True)):
        label = f"face {face.index}, {name}" if i == 0 else name
        if i == 1 and face.untouched:
            label = f"{name}: untouched"
        pen.text((i * column, 0), label, INK, font)
        tile = face_tile(crop)
        block.paste(_marked(tile, face.places) if i == 0 else Image.fromarray(tile), (i * column, LABEL))
    for k, (check, finding) in enumerate(face.findings.items()):
        y = rows + k * row
        colour = OPEN if finding.good is None else GOOD if finding.good else BAD
        pen.text((0, y), f"{check}: {finding.verdict}", colour, font)
        for i, crop in enumerate(face.crops):
            view = Image.fromarray(_view(crop, check, face.places))
            block.paste(view, (i * column, y + LABEL))
            left = i * column + VIEW + 10
            for line, (name, figure) in enumerate(finding.figures.items()):
                value = (figure.before, figure.after, figure.classic)[i]
                pen.text((left, y + LABEL + 44 * line), f"{value:.2f}", INK, font)
                pen.text((left, y + LABEL + 44 * line + 20), name.partition(",")[0], OPEN, small)
    return block


def _marked(tile: Tile, places: Places) -> Image.Image:
    """Return a face with the hair's edges dotted, the highlights outlined and the irises ringed."""
    outline = cv2.resize(places.spots.astype(np.uint8), (FACE, FACE), interpolation=cv2.INTER_NEAREST)
    tile = tile.copy()
    tile[cv2.morphologyEx(outline, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0] = SPOT
    picture = Image.fromarray(tile)
    pen = ImageDraw.Draw(picture)
    factor = FACE / SIDE
    for x, y in places.edges * factor:
        pen.ellipse((x - 1, y - 1, x + 1, y + 1), EDGE)
    for x, y in places.irises * factor:
        radius = places.radius * factor
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=IRIS)
    return picture


def _view(crop: Crop, check: str, places: Places) -> Tile:
    """Return a close view of what a check examines, without smoothing, which would hide the evidence."""
    side = CLOSE[check]
    x, y = _middle(check, places)
    left, top = (int(np.clip(round(value) - side // 2, 0, SIDE - side)) for value in (x, y))
    part = crop[top : top + side, left : left + side]
    view = cv2.resize(part, (VIEW, VIEW), interpolation=cv2.INTER_NEAREST)
    return np.asarray(np.rint(np.clip(view, 0, 1) * 255), np.uint8)


def _middle(check: str, places: Places) -> tuple[float, float]:
    if check == "pupils":
        x, y = places.irises[0]
    elif check == "hair" and len(places.edges):
        x, y = places.edges[0]
    elif check == "highlights" and places.spots.any():
        rows, columns = np.nonzero(places.spots)
        x, y = np.median(columns), np.median(rows)
    else:
        x = y = SIDE / 2
    return float(x), float(y)
