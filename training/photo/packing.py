"""Pack crops of photos, small enough for transfer to a machine with a GPU."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import PhotoError
from base.files import write_atomically
from base.text import one_line
from training.photo.patches import EDGE

Picture = NDArray[Any]
"""H×W×3 uint8, BGR as OpenCV reads it."""

SHRINK = 0.66
"""Photos are shrunk to this share of their size or less, so that their own JPEG artefacts and sharpening are
not learnt."""
LONGEST = 2000
"""Longest side of a shrunk photo in pixels."""
SHARP = 2
"""Crops of each photo where it has most detail; one more shows the middle at a smaller size."""
STRONG = 30
"""Detail counts no more than this, in levels, so that one edge does not outweigh all texture."""


def pack_photos(photos: Sequence[Path], output: Path, quality: int = 94) -> int:
    """Write crops of EDGE×EDGE pixels of photos as JPEG files; return their total size in bytes.

    Raises PhotoError for a file that is not a photo, or is smaller than a crop.
    """
    output.mkdir(parents=True, exist_ok=True)
    total = 0
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    for path in photos:
        photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if photo is None or min(photo.shape[:2]) < EDGE:
            raise PhotoError(f"{one_line(path)} is not a photo of at least {EDGE}×{EDGE} pixels")
        for i, crop in enumerate(_crops(np.asarray(photo, np.uint8))):
            _, data = cv2.imencode(".jpg", crop, options)
            with write_atomically(output / f"{path.stem}-{i}.jpg") as file:
                file.write(data.tobytes())
            total += len(data)
    return total


def _crops(photo: Picture) -> Iterator[Picture]:
    large = _shrunk(photo, min(SHRINK, LONGEST / max(photo.shape[:2])))
    detail = _detail(large)
    for _ in range(SHARP):
        y, x = np.unravel_index(int(detail.argmax()), detail.shape)
        if detail[y, x] < 0:
            break
        yield large[y : y + EDGE, x : x + EDGE]
        near = EDGE * 2 // 3
        detail[max(0, y - near) : y + near, max(0, x - near) : x + near] = -1
    small = _shrunk(large, 1 / 3)
    y, x = ((side - EDGE) // 2 for side in small.shape[:2])
    yield small[y : y + EDGE, x : x + EDGE]


def _shrunk(photo: Picture, factor: float) -> Picture:
    """Return a smaller photo, but no smaller than a crop."""
    height, width = photo.shape[:2]
    factor = min(1.0, max(factor, EDGE / min(height, width)))
    size = (max(EDGE, round(width * factor)), max(EDGE, round(height * factor)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _detail(photo: Picture) -> NDArray[np.float32]:
    """Return how much detail a crop has that starts at each pixel."""
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY).astype(np.float32)
    fine = np.minimum(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), STRONG)
    mean = cv2.boxFilter(fine, -1, (EDGE, EDGE), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    height, width = grey.shape
    return np.array(mean[: height - EDGE + 1, : width - EDGE + 1], np.float32)
