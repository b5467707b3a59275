"""Write TIFF: 8 or 16 bits, whatever metadata is given. Pillow writes no 16-bit colour."""

import zlib
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
_RAW, _DEFLATE = 1, 8
_BLACK_IS_ZERO, _RGB = 1, 2
_HORIZONTAL_DIFFERENCE = 2
_UNMULTIPLIED_ALPHA = 2


def write_tiff(
    file: BinaryIO, samples: Samples, metadata: ImageFileDirectory_v2, *, compressed: bool = True
) -> None:
    """Write H×W×C samples (grey, grey + alpha, RGB, RGB + alpha for C = 1…4) to an empty file, in strips.

    metadata    a little-endian directory with the tags to carry along; the layout's own tags are added to it
    compressed  deflate over horizontal differences (TIFF 6.0, section 14), else raw; both lose nothing
    """
    height, width, channels = samples.shape
    bands = list(row_bands(height, width))
    directory = metadata
    directory[IMAGEWIDTH], directory[IMAGELENGTH] = width, height
    directory[BITSPERSAMPLE] = (8 * samples.itemsize,) * channels
    directory[SAMPLESPERPIXEL] = channels
    directory[PHOTOMETRIC_INTERPRETATION] = _RGB if channels >= 3 else _BLACK_IS_ZERO
    if channels in (2, 4):
        directory[EXTRASAMPLES] = (_UNMULTIPLIED_ALPHA,)
    directory[COMPRESSION] = _DEFLATE if compressed else _RAW
    if compressed:
        directory[PREDICTOR] = _HORIZONTAL_DIFFERENCE
    directory[ROWSPERSTRIP] = bands[0].stop
    for tag in (STRIPOFFSETS, STRIPBYTECOUNTS):
        directory.tagtype[tag] = LONG
        directory[tag] = (0,) * len(bands)

    file.write(_HEADER + directory.tobytes(8))  # keeps the place until the strips' sizes are known
    sizes = [
        file.write(zlib.compress(_differences(samples[rows])) if compressed else _bytes(samples[rows]))
        for rows in bands
    ]
    directory[STRIPBYTECOUNTS] = tuple(sizes)
    directory[STRIPOFFSETS] = tuple(
        int(end) - size for end, size in zip(np.cumsum(sizes), sizes, strict=True)
    )
    file.seek(len(_HEADER))
    file.write(directory.tobytes(8))  # counts the offsets from its own end


def _bytes(band: Samples) -> bytes:
    return band.astype(band.dtype.newbyteorder("<")).tobytes()


def _differences(band: Samples) -> bytes:
    differences = band.copy()
    differences[:, 1:] -= band[:, :-1]
    return _bytes(differences)
