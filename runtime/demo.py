"""`python -m runtime.demo`: restore a real portrait that was visibly degraded by a fixed amount.

It is restored twice: its face alone, and the whole photo.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from base.command_line import needs_extra, print_lines, run
from base.command_parser import CommandParser
from runtime import restore
from runtime.commands.jobs import make_folders
from runtime.sheets.paper import INK, LABEL, MARGIN, PAPER, label_font

FOLDER = Path("demo-out")
BLUR = 0.7
"""σ in pixels."""
NOISE = 16.0
"""σ in 8-bit levels."""
JPEG_QUALITY = 80
SHEETS = {"faces": "before-after.png", "photo": "before-after-photo.png"}
"""The sheet of each scope."""


def main(arguments: list[str] | None = None) -> int:
    """Write the degraded portrait, restore it in each scope, and print where they are."""
    return run(lambda: _demo(arguments))


def _demo(arguments: list[str] | None) -> int:
    about = f"Restore a degraded portrait, and write before/after pictures into the folder {FOLDER}."
    CommandParser(prog="python -m runtime.demo", description=about).parse_args(arguments)
    with needs_extra("demo", "python -m runtime.demo"):
        from skimage.data import astronaut  # Eileen Collins, NASA, public domain
    make_folders([FOLDER])
    photo = FOLDER / "degraded.jpg"
    degraded = degrade(astronaut())  # type: ignore[no-untyped-call]
    cv2.imwrite(str(photo), degraded[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    pictures = {"before": photo}
    for scope, sheet in SHEETS.items():
        restored = pictures[scope] = FOLDER / f"restored-{scope}.jpg"
        command = [str(photo), "-o", str(restored), "--scope", scope, "--compare", str(FOLDER / sheet)]
        if status := restore.main([*command, "--overwrite"]):
            return status
    side_by_side(pictures, FOLDER / "before-faces-photo.png")
    names = (*SHEETS.values(), "before-faces-photo.png")
    print_lines(*(f"before/after picture: {(FOLDER / name).resolve()}" for name in names))
    return 0


def side_by_side(pictures: Mapping[str, Path], output: Path) -> None:
    """Write pictures of one size beside each other, each under its name."""
    opened = {name: Image.open(path) for name, path in pictures.items()}
    width, height = next(iter(opened.values())).size
    sheet = Image.new("RGB", (len(opened) * (width + MARGIN) + MARGIN, height + LABEL + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (name, picture) in enumerate(opened.items()):
        left = MARGIN + i * (width + MARGIN)
        pen.text((left, 4), name, INK, label_font())
        sheet.paste(picture, (left, LABEL))
    sheet.save(output)


def degrade(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur a picture and add noise, identically on every call."""
    noise = np.random.default_rng(0).normal(0, NOISE, picture.shape)
    noisy = cv2.GaussianBlur(picture, (0, 0), BLUR) + noise
    return np.asarray(np.rint(np.clip(noisy, 0, 255)), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
