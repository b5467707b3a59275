"""A sheet of faces to look at: a row for each portrait, a column for each picture of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from base.errors import PhotoError
from base.files import write_atomically
from portraits.damage import Portrait
from runtime.sheets.paper import INK, LABEL, MARGIN, PAPER, label_font

FACE = 256
GAP = 4


def check_folder(sheet: Path | None) -> None:
    """Raise PhotoError if a sheet's folder is missing; called before measuring."""
    if sheet and not sheet.parent.is_dir():
        raise PhotoError(f"no folder for the sheet {sheet}: make {sheet.parent} first")


def write_sheet(path: Path, rows: Sequence[Mapping[str, Portrait]], most: int = FACE) -> None:
    """Write a PNG or JPEG (by its name) of faces, all rows with the same columns.

    most  the side of a face on the sheet, at most; smaller crops are shown as they are

    Raises PhotoError if it cannot be written.
    """
    side = min(most, len(next(iter(rows[0].values()))))
    columns = tuple(rows[0])
    sheet = Image.new(
        "RGB",
        (2 * MARGIN + len(columns) * (side + GAP), MARGIN + LABEL + len(rows) * (side + GAP) + MARGIN),
        PAPER,
    )
    pen, font = ImageDraw.Draw(sheet), label_font()
    for k, name in enumerate(columns):
        left = MARGIN + k * (side + GAP)
        pen.text((left, MARGIN), name, INK, font)
        for i, row in enumerate(rows):
            face = cv2.resize(row[name], (side, side), interpolation=cv2.INTER_AREA)
            sheet.paste(
                Image.fromarray(np.asarray(face, np.uint8)), (left, MARGIN + LABEL + i * (side + GAP))
            )
    with write_atomically(path) as file:
        sheet.save(file, "JPEG" if path.suffix == ".jpg" else "PNG", quality=92)
