"""A labelled sheet of the regions of each face."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from runtime.faces.align import AlignedFace
from runtime.faces.mesh import LEFT_BROW, LEFT_EYE, LIPS, OVAL, RIGHT_BROW, RIGHT_EYE
from runtime.faces.regions import crop_landmarks, edge_mask, region_masks_of
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

COLOURS = {
    "eye": (0, 160, 255),
    "brow": (130, 0, 200),
    "nose": (255, 220, 0),
    "lip": (255, 0, 80),
    "cheek": (0, 200, 80),
    "forehead": (255, 130, 0),
    "ear": (255, 110, 220),
    "hair": (0, 60, 200),
    "other": (128, 128, 128),
}
"""RGB of each region."""
TINT = 0.4
"""Opacity of a region's colour over the crop."""
CONTOURS = (OVAL, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, LIPS)
"""Outlines of the mesh that are drawn over the regions."""
DOT = 3
"""Radius of a landmark."""


def write_masks_sheet(path: Path, faces: Mapping[str, AlignedFace]) -> None:
    """Write a PNG that shows each face's crop, its regions in colour with the landmarks, and strong edges.

    The order is kept; if there are more than MAX_FACES faces, the first are shown.

    faces  by label, see `labelled_faces`
    """
    shown = list(itertools.islice(faces.items(), MAX_FACES))
    sheet = _drawn([_tiles(face) for _, face in shown], [(label, _drawn_by(face)) for label, face in shown])
    write_png(path, sheet)


def _drawn_by(face: AlignedFace) -> str:
    if face.parsed:
        return "regions, by face parsing"
    return "regions, by the mesh" if face.mesh else "regions, by five landmarks"


def _drawn(rows: list[tuple[Tile, Tile, Tile]], names: list[tuple[str, str]]) -> Image.Image:
    """Arrange one row for each face, below a row that names the colours."""
    font = label_font()
    column, row = FACE + MARGIN, LABEL + FACE + MARGIN
    top = MARGIN + LABEL + MARGIN
    sheet = Image.new("RGB", (MARGIN + 3 * column, top + row * len(rows)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (region, colour) in enumerate(COLOURS.items()):
        x = MARGIN + i * (3 * column - MARGIN) // len(COLOURS)
        pen.rectangle((x, MARGIN, x + LABEL - 6, MARGIN + LABEL - 6), colour)
        pen.text((x + LABEL, MARGIN), region, INK, font)
    for i, tiles in enumerate(rows):
        for k, (label, tile) in enumerate(zip((*names[i], "edges"), tiles, strict=True)):
            pen.text((MARGIN + k * column, top + i * row), label, INK, font)
            sheet.paste(Image.fromarray(tile), (MARGIN + k * column, top + i * row + LABEL))
    return sheet


def _tiles(face: AlignedFace) -> tuple[Tile, Tile, Tile]:
    """Return the crop, the crop with tinted regions and dotted landmarks, and the edges."""
    size = len(face.crop)
    landmarks = crop_landmarks(face)
    masks = region_masks_of(face)
    tints = sum(
        mask[:, :, None] * np.array(COLOURS[region], np.float32) / 255 for region, mask in masks.items()
    )
    regions = Image.fromarray(face_tile((1 - TINT) * face.crop + TINT * tints))
    pen = ImageDraw.Draw(regions)
    if face.mesh:
        for points in CONTOURS:
            outline = (face.mesh.outline(points) + 0.5) * FACE / size - 0.5
            pen.line([*map(tuple, outline.tolist()), tuple(outline[0].tolist())], "white")
    for x, y in (landmarks + 0.5) * FACE / size - 0.5:
        pen.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), "red", "white")
    edges = np.repeat(edge_mask(face.crop)[:, :, None], 3, axis=2)
    return face_tile(face.crop), np.asarray(regions), face_tile(edges)
