"""Write TIFF: 8 or 16 bits, one or more pages, any metadata. Pillow writes no 16-bit colour."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    IMAGELENGTH,
    IMAGEWIDTH,
    PHOTOMETRIC_INTERPRETATION,
    PREDICTOR,
    ROWSPERSTRIP,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    ImageFileDirectory_v2,
)
from PIL.TiffTags import LONG

from runtime.photo.row_bands import row_bands
from runtime.photo.samples import Samples

_HEADER = b"II*\0\x08\0\0\0"  # little-endian; the directory follows at byte 8
_SUBFILE_TYPE, _PAGE_OF_SEVERAL = 254, 2
_ENTRY = 12
"""Bytes of a directory entry. A directory is a count (two bytes), entries, and the next one's offset."""
_RAW, _DEFLATE = 1, 8
_BLACK_IS_ZERO, _RGB = 1, 2
_HORIZONTAL_DIFFERENCE = 2
_UNMULTIPLIED_ALPHA = 2


@dataclass(frozen=True, eq=False)
class Page:
    """A page's samples and metadata."""

    samples: Samples
    """H×W×C: grey, grey + alpha, RGB, RGB + alpha for C = 1…4."""
    metadata: ImageFileDirectory_v2
    """A little-endian directory of tags to copy; the layout's own tags are added to it."""
    compressed: bool = True
    """Deflate over horizontal differences (TIFF 6.0, section 14), otherwise raw; both are lossless."""


def write_tiff(file: BinaryIO, pages: Iterable[Page]) -> None:
    """Write pages to an empty file, in strips."""
    pages = list(pages)
    file.write(_HEADER[:4] + b"\0\0\0\0")
    link = 4
    for page in pages:
        directory, bands = _directory_of(page)
        if len(pages) > 1:
            directory[_SUBFILE_TYPE] = _PAGE_OF_SEVERAL
        start = file.seek(0, 2)
        file.write(b"\0" * (start % 2))
        start += start % 2
        _link(file, link, start)
        link = start + 2 + _ENTRY * len(directory)
        _write_page(file, start, page, directory, bands)


def _directory_of(page: Page) -> tuple[ImageFileDirectory_v2, list[slice]]:
    height, width, channels = page.samples.shape
    bands = list(row_bands(height, width))
    directory = page.metadata
    directory[IMAGEWIDTH], directory[IMAGELENGTH] = width, height
    directory[BITSPERSAMPLE] = (8 * page.samples.itemsize,) * channels
    directory[SAMPLESPERPIXEL] = channels
    directory[PHOTOMETRIC_INTERPRETATION] = _RGB if channels >= 3 else _BLACK_IS_ZERO
    if channels in (2, 4):
        directory[EXTRASAMPLES] = (_UNMULTIPLIED_ALPHA,)
    directory[COMPRESSION] = _DEFLATE if page.compressed else _RAW
    if page.compressed:
        directory[PREDICTOR] = _HORIZONTAL_DIFFERENCE
    directory[ROWSPERSTRIP] = bands[0].stop
    for tag in (STRIPOFFSETS, STRIPBYTECOUNTS):
        directory.tagtype[tag] = LONG
        directory[tag] = (0,) * len(bands)
    return directory, bands


def _write_page(
    file: BinaryIO, start: int, page: Page, directory: ImageFileDirectory_v2, bands: list[slice]
) -> None:
    file.seek(start)
    file.write(directory.tobytes(start))  # reserves the place until the strips' sizes are known
    sizes = [
        file.write(
            zlib.compress(_differences(page.samples[rows])) if page.compressed else _bytes(page.samples[rows])
        )
        for rows in bands
    ]
    directory[STRIPBYTECOUNTS] = tuple(sizes)
    directory[STRIPOFFSETS] = tuple(
        int(end) - size for end, size in zip(np.cumsum(sizes), sizes, strict=True)
    )
    file.seek(start)
    file.write(directory.tobytes(start))  # counts its offsets from its own end
    file.seek(0, 2)


def _link(file: BinaryIO, place: int, directory: int) -> None:
    file.seek(place)
    file.write(directory.to_bytes(4, "little"))


def _bytes(band: Samples) -> bytes:
    return band.astype(band.dtype.newbyteorder("<")).tobytes()


def _differences(band: Samples) -> bytes:
    differences = band.copy()
    differences[:, 1:] -= band[:, :-1]
    return _bytes(differences)
