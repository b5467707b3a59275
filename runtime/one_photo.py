"""What is done with one photo besides restoring it, whoever asks."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2

from engines.errors import PhotoError, SettingsError
from runtime.grouped_warnings import shared_warnings
from runtime.in_force import InForce
from runtime.photo.reader import Photo
from runtime.photo.source import without_metadata
from runtime.photo.writer import OUTPUT_SUFFIXES
from runtime.result import RestoreResult

FROM_PHONES = (".heic", ".heif")
"""Suffixes of lossy photos that are read, not written."""


def output_name(photo: Path) -> str:
    """Return the name that a photo's result has in a folder: its own, or that of a JPEG or PNG."""
    suffix = photo.suffix.lower()
    if suffix in OUTPUT_SUFFIXES:
        return photo.name
    return photo.stem + (".jpg" if suffix in FROM_PHONES else ".png")


def check_megapixels(most: float) -> None:
    """Raise SettingsError for what is no limit, such as nan, which every size would pass."""
    if not 0 < most < 1e9:
        raise SettingsError(f"--max-megapixels is {most:g}: give a number above 0 and below 1e9")


def check_size(photo: Photo, upscale: int, max_megapixels: float) -> None:
    """Raise PhotoError when the enlarged photo would be larger than is allowed."""
    height, width = photo.pixels.shape[:2]
    megapixels = height * width * upscale**2 / 1e6
    if megapixels > max_megapixels:
        raise PhotoError(
            f"--upscale {upscale} would make {megapixels:.4g} megapixels, "
            f"more than the {max_megapixels:g} allowed: "
            "take a smaller factor, or raise --max-megapixels"
        )


def restored(photo: Photo, result: RestoreResult, *, strip_metadata: bool = False) -> Photo:
    """Return the photo with what was restored in the place of its pixels, its alpha as large.

    strip_metadata  leave out EXIF with its GPS position, XMP and all else but the colour profile and density
    """
    alpha, (height, width) = photo.alpha, result.photo.shape[:2]
    if alpha is not None and alpha.shape != (height, width):
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LANCZOS4)
    source = without_metadata(photo.source) if strip_metadata else photo.source
    return replace(photo, pixels=result.photo, alpha=alpha, source=source)


def remarks(result: RestoreResult, force: InForce) -> Iterable[str]:
    """Say what the user should know of a photo's restoration."""
    if not result.faces:
        yield "no face found; the photo was written without a change to its faces"
        return
    yield from map(str, shared_warnings(result.faces))
    for i in force.by_face:
        if i >= len(result.faces):
            yield f"face {i}, which has settings of its own, is not there"
