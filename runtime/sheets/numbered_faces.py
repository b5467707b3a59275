"""A numbered list and picture of a photo's faces, so that a user can refer to them."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from runtime.face_warnings import face_warnings, is_tiny
from runtime.faces.face import Face
from runtime.pixels import Pixels
from runtime.settings.settings import RestoreSettings
from runtime.sheets.paper import fitted, write_png

SIDE = (800, 2400)
"""The longest side of the sheet: that of the photo, within these limits."""
DIGITS = (15, 48)
"""Smallest and largest height of a number on the sheet."""
RESTORED, LEFT_ALONE = "yellow", "orange"
"""Colours of the boxes: for faces that would be restored, and for those too small for it."""


def face_table(faces: Sequence[Face], settings: RestoreSettings) -> list[str]:
    """Return one line per face, in order, below a line with the column names; lengths in pixels."""
    lines = ["face   left    top  width  height  score  remarks"]
    for i, face in enumerate(faces):
        left, top = face.box[:2]
        remarks = ", ".join(warning.code for warning in face_warnings(face, None, settings))
        lines.append(
            f"{i:4d}  {left:5.0f}  {top:5.0f}  {face.width:5.0f}  {face.height:6.0f}  {face.score:5.2f}"
            f"  {remarks}".rstrip()
        )
    return lines


def write_face_sheet(path: Path, photo: Pixels, faces: Sequence[Face]) -> None:
    """Write a PNG of the photo with a box and a number for each face.

    photo  H×W×3 uint8 or uint16 RGB
    """
    least, most = SIDE
    longest = max(photo.shape[:2])
    side = min(max(longest, least), most)
    sheet = Image.fromarray(fitted(photo, side))
    pen = ImageDraw.Draw(sheet)
    for i, face in reversed(list(enumerate(faces))):  # the largest on top
        _draw_box(pen, i, face, side / longest)
    write_png(path, sheet)


def _draw_box(pen: ImageDraw.ImageDraw, number: int, face: Face, factor: float) -> None:
    """Draw a face's box, with a dark and a light line to stand out, and its number above or inside."""
    x0, y0, x1, y1 = (round(value * factor) for value in face.box)
    colour = LEFT_ALONE if is_tiny(face) else RESTORED
    least, most = DIGITS
    size = min(max((y1 - y0) // 4, least), most)
    thick = max(2, size // 10)
    pen.rectangle((x0 - thick, y0 - thick, x1 + thick, y1 + thick), outline="black", width=2 * thick)
    pen.rectangle((x0, y0, x1, y1), outline=colour, width=thick)
    font = ImageFont.load_default(size)
    wide = pen.textlength(str(number), font) + size // 2
    high = round(1.2 * size)
    top = y0 - high if y0 >= high else y0
    pen.rectangle((x0, top, x0 + wide, top + high), "black")
    pen.text((x0 + size // 4, top), str(number), colour, font)
