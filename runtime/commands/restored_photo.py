"""The restored photo for writing: new pixels, everything else unchanged."""

from dataclasses import replace

import cv2
import numpy as np

from base.errors import PhotoError
from base.text import rounded
from runtime.photo.reader import Photo
from runtime.photo.row_bands import row_bands
from runtime.photo.samples import Samples
from runtime.photo.source import PhotoSource, profile_of, without_metadata
from runtime.photo.stripping import strip
from runtime.result import RestoreResult


def check_size(photo: Photo, upscale: int, max_megapixels: float) -> None:
    """Raise PhotoError if the enlarged photo, with all its pages, would be larger than is allowed."""
    pixels = sum(page.pixels.shape[0] * page.pixels.shape[1] for page in (photo, *photo.pages))
    megapixels = pixels * upscale**2 / 1e6
    if megapixels > max_megapixels:
        raise PhotoError(
            f"--upscale {upscale} would make {rounded(megapixels, 4)} megapixels, "
            f"more than the {max_megapixels:g} allowed: "
            "take a smaller factor, or raise --max-megapixels"
        )


def restored(photo: Photo, result: RestoreResult, *, strip_metadata: bool = False) -> Photo:
    """Return the photo with the restored pixels, and its alpha enlarged as much.

    If no pixel was changed, its `content` is the bytes of the file.

    strip_metadata  leave out EXIF with its GPS position, XMP, captions and everything but colours and density
    """
    whole = _restored_page(photo, result, strip_metadata)
    pages = zip(photo.pages, result.pages, strict=True)
    whole = replace(whole, pages=tuple(_restored_page(*each, strip_metadata) for each in pages))
    before, after = (photo, *photo.pages), (whole, *whole.pages)
    if all(_equal(a.pixels, b.pixels) for a, b in zip(before, after, strict=True)):
        return replace(whole, content=_content(whole.source))
    return whole


def _equal(before: Samples, after: Samples) -> bool:
    """Return whether two photos are equal, compared in bands until one differs."""
    bands = row_bands(*before.shape[:2])
    return before.shape == after.shape and all(np.array_equal(before[rows], after[rows]) for rows in bands)


def _restored_page(photo: Photo, result: RestoreResult, strip_metadata: bool) -> Photo:
    alpha, (height, width) = photo.alpha, result.photo.shape[:2]
    if alpha is not None and alpha.shape != (height, width):
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LANCZOS4)
    source = without_metadata(photo.source) if strip_metadata else photo.source
    return replace(photo, pixels=result.photo, alpha=alpha, source=source)


def _content(source: PhotoSource) -> bytes | None:
    """Return the bytes of a photo's file, without metadata if that was asked; None if there are none."""
    content = source.original.content() if source.original else None
    if content is None or not source.stripped:
        return content
    icc = profile_of(source) if source.colours else None
    return strip(content, source.format, source.orientation, icc)
