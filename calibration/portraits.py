"""Faces to calibrate with, out of a folder of photos or of aligned crops."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import PhotoError
from base.text import one_line
from runtime.face_warnings import is_tiny
from runtime.faces.align import Pixels, align
from runtime.faces.detect import Detector
from runtime.photo.reader import SUPPORTED_SUFFIXES, read_photo

Crop = NDArray[np.float32]
"""S×S×3 in [0, 1], RGB."""

LEAST = 8
"""Fewer portraits say nothing of the next one."""


def pictures_in(folder: Path) -> list[Path]:
    """Return the photos of a folder in the order of their names. Raises PhotoError when there are too few."""
    if not folder.is_dir():
        raise PhotoError(f"{one_line(folder)} is not a folder: give one with {LEAST} portraits or more")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUPPORTED_SUFFIXES and p.is_file())
    if len(paths) < LEAST:
        raise PhotoError(
            f"{one_line(folder)} holds {len(paths)} photos: {LEAST} portraits or more are needed"
        )
    return paths


def crops_of(path: Path, size: int, detector: Detector | None) -> Iterator[Crop]:
    """Yield the faces of a picture as crops.

    detector  finds the faces of a photo; None takes the picture itself for one, square and aligned

    Raises PhotoError when the file cannot be read, or an aligned crop is not square or of one colour.
    """
    pixels = read_photo(path).pixels
    if detector is None:
        yield _whole(path, pixels, size)
        return
    shallow = np.asarray(pixels if pixels.dtype == np.uint8 else pixels // 257, np.uint8)
    for face in detector.detect(shallow):
        if not is_tiny(face):
            yield align(pixels, face, size).crop


def check_count(folder: Path, faces: int) -> None:
    """Raise PhotoError unless there are enough faces."""
    if faces < LEAST:
        found = f"{faces} faces were" if faces != 1 else "1 face was"
        raise PhotoError(
            f"{found if faces else 'no face was'} found in {one_line(folder)}: {LEAST} or more are needed "
            "(give --aligned if the pictures are aligned crops)"
        )


def _whole(path: Path, pixels: Pixels, size: int) -> Crop:
    height, width = pixels.shape[:2]
    if height != width:
        raise PhotoError(
            f"{one_line(path)} is {width}×{height}: aligned crops are square; without --aligned faces are "
            "looked for"
        )
    if (pixels == pixels[0, 0]).all():
        raise PhotoError(f"{one_line(path)} is of one colour: take it out of the folder")
    crop = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    interpolation = cv2.INTER_AREA if height > size else cv2.INTER_CUBIC
    return np.asarray(np.clip(cv2.resize(crop, (size, size), interpolation=interpolation), 0, 1), np.float32)
