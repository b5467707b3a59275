"""Check that an array passed in by a program is a photo."""

from typing import Any

import numpy as np

from base.errors import PixelsError

WANTED = "a photo must be an H×W×3 array of uint8 or uint16, RGB"


def check_pixels(photo: Any) -> None:
    """Raise PixelsError unless the array is H×W×3 uint8 or uint16; the error says how to convert it."""
    if not isinstance(photo, np.ndarray):
        raise PixelsError(f"{WANTED}: this is {_kind(photo)}")
    shape = "×".join(map(str, photo.shape)) or "a single number,"
    given = f"{WANTED}: this is {shape} {photo.dtype}"
    if advice := _advice(photo):
        raise PixelsError(f"{given}; {advice}")


def _kind(value: Any) -> str:
    kind = type(value)
    if kind.__module__.partition(".")[0] == "PIL":
        return 'a Pillow image; pass np.asarray(ImageOps.exif_transpose(image).convert("RGB"))'
    return f"of type {kind.__name__}"


def _advice(photo: np.ndarray[Any, Any]) -> str:
    """Return how to convert an array to a photo; empty if it is one."""
    shape = photo.shape
    if photo.ndim == 2:
        return "repeat a grey image with np.dstack([grey] * 3)"
    if photo.ndim == 4:
        return "give one photo at a time"
    if photo.ndim != 3:
        return "pass height, width and three colours"
    if shape[2] != 3 and shape[0] == 3:
        return "move the colours to the last axis with photo.transpose(1, 2, 0)"
    if shape[2] == 1:
        return "repeat a grey image with np.dstack([grey] * 3)"
    if shape[2] == 4:
        return "drop the alpha channel with photo[..., :3]"
    if shape[2] != 3:
        return "give three colours"
    if not photo.size:
        return "it is empty"
    if photo.dtype.kind == "f":
        return "convert values from 0 to 1 with np.rint(255 * photo).astype(np.uint8)"
    if photo.dtype not in (np.uint8, np.uint16):
        return "convert it with photo.astype(np.uint8) if its values are 0 to 255"
    return ""
