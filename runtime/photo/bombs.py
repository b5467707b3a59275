"""Detect small files whose decoding would take unbounded work, before a decoder sees them."""

import io
import os
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from runtime.photo.jpeg_segments import START_OF_SCAN, segments
from runtime.photo.mapped import mapped

MOST_SCANS = 100
"""Of a progressive JPEG. Encoders write about ten; each costs the decoder a pass over the image."""


class WithinFile(io.BufferedReader):
    """A file on disk that is never asked for more bytes than it has left.

    Decoders ask for as many as a damaged file claims, and Python allocates them before it reads.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb", buffering=0))
        self._length = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to so many bytes; all that are left for None or a negative number."""
        left = max(0, self._length - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def has_endless_scans(file: BinaryIO) -> bool:
    """Return whether the first image of a JPEG has more scans than any encoder writes."""
    with mapped(file) as data:
        scans = (each for each in segments(data) if each.marker == START_OF_SCAN)
        return next(islice(scans, MOST_SCANS, None), None) is not None


def webp_size(start: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP, whose decoder allocates memory for them as soon as it is opened.

    start  at least the first 30 bytes of the file

    Returns None for unknown headers. Written from the container's specification (RFC 9649) and, for lossy
    images, RFC 6386, section 9.1.
    """
    kind, body = start[12:16], start[20:30]
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None
