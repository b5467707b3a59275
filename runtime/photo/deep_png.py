"""Write PNG with 16 bits per sample in every colour type; Pillow writes only grey."""

import struct
import zlib
from typing import BinaryIO

import numpy as np

from runtime.photo.chunks import PNG_SIGNATURE, png_chunk
from runtime.photo.row_bands import row_bands
from runtime.photo.samples import Samples

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_SUB_FILTER = 1
# The low bytes of 16-bit photos are mostly noise: more effort saves a percent or two.
_COMPRESSION_LEVEL = 3


def write_deep_png(file: BinaryIO, samples: Samples, metadata: bytes) -> None:
    """Write H×W×C uint16 samples (grey, grey + alpha, RGB, RGB + alpha for C = 1…4), band by band.

    metadata  complete ancillary chunks (iCCP, pHYs, eXIf, iTXt, …) to write before the samples
    """
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    file.write(PNG_SIGNATURE + png_chunk(b"IHDR", header) + metadata)
    compressor = zlib.compressobj(_COMPRESSION_LEVEL)
    for rows in row_bands(height, width):
        file.write(png_chunk(b"IDAT", compressor.compress(_filtered(samples[rows]))))
    file.write(png_chunk(b"IDAT", compressor.flush()) + png_chunk(b"IEND", b""))


def _filtered(band: Samples) -> bytes:
    # Each row: the filter's number, then every byte minus the byte one pixel to its left.
    pixel = 2 * band.shape[2]
    raw = band.astype(">u2").view(np.uint8).reshape(len(band), -1)
    lines = np.empty((len(band), 1 + raw.shape[1]), np.uint8)
    lines[:, 0] = _SUB_FILTER
    lines[:, 1 : 1 + pixel] = raw[:, :pixel]
    np.subtract(raw[:, pixel:], raw[:, :-pixel], out=lines[:, 1 + pixel :])
    return lines.tobytes()
