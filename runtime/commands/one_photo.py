"""What is done with one photo besides restoring it, whoever asks."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from base.errors import PhotoError, SettingsError
from runtime.commands.grouped_warnings import shared_warnings
from runtime.photo.reader import Photo
from runtime.photo.source import PhotoSource, profile_of, without_metadata
from runtime.photo.stripping import strip
from runtime.photo.writer import OUTPUT_SUFFIXES, is_copied, left_out
from runtime.result import RestoreResult
from runtime.settings.resolved import InForce

FROM_PHONES = (".heic", ".heif", ".hif")
"""Suffixes of lossy photos that are read, not written."""


def output_name(photo: Path) -> str:
    """Return the name that a restored photo has in a folder: its own, or that of a JPEG or PNG.

    One in which nothing was restored may keep its own, see `keeps_name`.
    """
    suffix = photo.suffix.lower()
    if suffix in OUTPUT_SUFFIXES:
        return photo.name
    return photo.stem + (".jpg" if suffix in FROM_PHONES else ".png")


def keeps_name(written: Photo) -> bool:
    """Return whether a photo is copied under its own suffix, though photos are not written with it.

    That is where nothing was restored, and another format would lose something: quality, or further pictures.

    written  as `restored` returns it
    """
    return written.content is not None and (written.source.format == "HEIF" or bool(written.source.parts))


def result_name(photo: Path, written: Photo) -> str:
    """Return the name of a photo's result in a folder; `written` is what `restored` returns."""
    return photo.name if keeps_name(written) else output_name(photo)


def check_megapixels(most: float) -> None:
    """Raise SettingsError for what is no limit, such as nan, which every size would pass."""
    if not 0 < most < 1e9:
        raise SettingsError(f"--max-megapixels is {most:g}: give a number above 0 and below 1e9")


def check_size(photo: Photo, upscale: int, max_megapixels: float) -> None:
    """Raise PhotoError when the enlarged photo, with all its pages, would be larger than is allowed."""
    pixels = sum(page.pixels.shape[0] * page.pixels.shape[1] for page in (photo, *photo.pages))
    megapixels = pixels * upscale**2 / 1e6
    if megapixels > max_megapixels:
        raise PhotoError(
            f"--upscale {upscale} would make {megapixels:.4g} megapixels, "
            f"more than the {max_megapixels:g} allowed: "
            "take a smaller factor, or raise --max-megapixels"
        )


def restored(photo: Photo, result: RestoreResult, *, strip_metadata: bool = False) -> Photo:
    """Return the photo with what was restored in the place of its pixels, its alpha as large.

    Where no pixel was changed, its `content` is the file's own bytes.

    strip_metadata  leave out EXIF with its GPS position, XMP, captions and all else but colours and density
    """
    whole = _restored_page(photo, result, strip_metadata)
    pages = zip(photo.pages, result.pages, strict=True)
    whole = replace(whole, pages=tuple(_restored_page(*each, strip_metadata) for each in pages))
    before, after = (photo, *photo.pages), (whole, *whole.pages)
    if all(np.array_equal(a.pixels, b.pixels) for a, b in zip(before, after, strict=True)):
        return replace(whole, content=_content(whole.source))
    return whole


def _restored_page(photo: Photo, result: RestoreResult, strip_metadata: bool) -> Photo:
    alpha, (height, width) = photo.alpha, result.photo.shape[:2]
    if alpha is not None and alpha.shape != (height, width):
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LANCZOS4)
    source = without_metadata(photo.source) if strip_metadata else photo.source
    return replace(photo, pixels=result.photo, alpha=alpha, source=source)


def _content(source: PhotoSource) -> bytes | None:
    """Return the bytes of a photo's file, on request without metadata; None if they cannot be had."""
    content = source.original.content() if source.original else None
    if content is None or not source.stripped:
        return content
    icc = profile_of(source) if source.colours else None
    return strip(content, source.format, source.orientation, icc)


def file_remarks(written: Photo, output: Path) -> Iterable[str]:
    """Say what the user should know of a photo's file and of what its result has no place for.

    written  as `restored` returns it
    """
    source, copied = written.source, is_copied(written, output)
    if source.damaged:
        done = "it was copied as it is" if copied else "what can be read of it was restored"
        yield f"the file is damaged or cut short; {done}"
    if not copied or (source.stripped and source.format == "JPEG"):
        if "an animation" in source.parts:
            yield "the file is an animation; only its first frame was restored and written"
        elif source.parts:
            yield f"the file also holds {_listed(source.parts)}, which the result does not have"
    if left := left_out(written, output):
        yield f"{output.suffix[1:].upper()} has no place for {_listed(left)}: left out"
    if not copied and source.colours and source.colours.cicp and output.suffix.lower() != ".png":
        yield "the photo is HDR; the result's colour profile compresses its highlights to what a screen shows"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def remarks(result: RestoreResult, force: InForce) -> Iterable[str]:
    """Say what the user should know of a photo's restoration."""
    if not result.every_face:
        yield "no face found; the photo was written without a change to its faces"
        return
    for number, page in enumerate((result, *result.pages), start=1):
        of_page = f"page {number}: " if result.pages else ""
        yield from (f"{of_page}{warning}" for warning in shared_warnings(page.faces))
    for i in force.by_face:
        if i >= len(result.faces):
            yield f"face {i}, which has settings of its own, is not there"
