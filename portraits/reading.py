"""Read portraits from a folder: aligned squares, or faces found in photos."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from base.errors import PhotoError
from base.text import one_line
from portraits.damage import Portrait
from runtime.face_warnings import is_tiny
from runtime.faces.align import align
from runtime.faces.detect import Detector
from runtime.photo.reader import read_photo
from runtime.photo.suffixes import SUPPORTED_SUFFIXES
from runtime.pixels import Crop, Pixels, as_float, eight_bit

LEAST = 8
"""Minimum number of portraits for calibration; fewer do not predict how others behave."""


def pictures_in(folder: Path, what: str = "portraits", least: int = 1) -> list[Path]:
    """Return the pictures of a folder, sorted by name.

    what   what the pictures are, in the plural, for the error

    Raises PhotoError if there are fewer than `least`.
    """
    name = one_line(folder)
    if not folder.is_dir():
        raise PhotoError(f"{name} is not a folder: give one that holds {what}")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUPPORTED_SUFFIXES and p.is_file())
    if len(paths) < least:
        raise PhotoError(f"{name} holds {len(paths) or 'no'} {what}: {least} or more are needed")
    return paths


def load_portraits(
    folder: Path, *, first: int = 0, limit: int | None = None, size: int | None = None
) -> list[Portrait]:
    """Read a folder of square, aligned portraits, sorted by name, from number `first` on.

    limit  the largest number to read; None reads all
    size   side S to which they are resized; None keeps the size of each

    Raises PhotoError if there are none, or one is not square.
    """
    paths = pictures_in(folder)[first:][:limit]
    if not paths:
        raise PhotoError(f"{one_line(folder)} holds no portrait from number {first} on")
    return [portrait if size is None else resized(portrait, size) for portrait in map(_load, paths)]


def _load(path: Path) -> Portrait:
    pixels = read_photo(path).pixels
    if pixels.shape[0] != pixels.shape[1]:
        raise PhotoError(f"{one_line(path)} is not a square picture: aligned portraits are needed")
    return eight_bit(pixels)


def resized(portrait: Portrait, size: int) -> Portrait:
    """Return a portrait of size×size pixels."""
    return np.asarray(cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def no_finer(portrait: Portrait, edge: int) -> Portrait:
    """Return a portrait, reduced to edge×edge pixels if it is larger."""
    return portrait if len(portrait) <= edge else resized(portrait, edge)


def crops_of(path: Path, size: int, detector: Detector | None) -> Iterator[Crop]:
    """Yield the faces of a picture as crops.

    detector  finds the faces of a photo; None takes the picture itself as an aligned square crop

    Raises PhotoError if the file cannot be read, or an aligned crop is not square or is of a single colour.
    """
    pixels = read_photo(path).pixels
    if detector is None:
        yield _whole(path, pixels, size)
        return
    for face in detector.detect(eight_bit(pixels)):
        if not is_tiny(face):
            yield align(pixels, face, size).crop


def check_count(folder: Path, faces: int) -> None:
    """Raise PhotoError unless there are enough faces for calibration."""
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
            f"{one_line(path)} is {width}×{height}: aligned crops are square; leave out --aligned to have "
            "faces detected"
        )
    if (pixels == pixels[0, 0]).all():
        raise PhotoError(f"{one_line(path)} is of one colour: take it out of the folder")
    crop = as_float(pixels)
    interpolation = cv2.INTER_AREA if height > size else cv2.INTER_CUBIC
    return np.asarray(np.clip(cv2.resize(crop, (size, size), interpolation=interpolation), 0, 1), np.float32)
