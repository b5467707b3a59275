"""What sheets share: measures, colours and letters, and the tiles that are placed on them."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from base.files import write_atomically
from runtime.pixels import Crop, Pixels, eight_bit

FACE = 352
"""Side of a face."""
MAX_FACES = 12
MARGIN = 16
LABEL = 26
"""Height of a label."""
PAPER, INK = "white", "black"

Tile = NDArray[np.uint8]
"""H×W×3, RGB."""


def label_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of labels."""
    return ImageFont.load_default(17)


def fitted(photo: Pixels, side: int) -> Tile:
    """Resize a photo, H×W×3 uint8 or uint16 RGB, so that its longest side has this length, in 8 bits."""
    height, width = photo.shape[:2]
    factor = side / max(height, width)
    shape = max(1, round(width * factor)), max(1, round(height * factor))
    fitted = cv2.resize(photo, shape, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return eight_bit(fitted)


def face_tile(crop: Crop) -> Tile:
    """Convert a crop to a tile: FACE×FACE×3."""
    interpolation = cv2.INTER_AREA if len(crop) > FACE else cv2.INTER_CUBIC
    resized = cv2.resize(crop, (FACE, FACE), interpolation=interpolation)
    return np.asarray(np.rint(np.clip(resized, 0, 1) * 255), np.uint8)


def write_png(path: Path, sheet: Image.Image) -> None:
    """Write a sheet. Raises PhotoError if it cannot be written."""
    with write_atomically(path) as file:
        sheet.save(file, "PNG")
