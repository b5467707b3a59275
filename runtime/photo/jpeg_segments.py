"""Find the segments of a JPEG file's first image without decoding it (ITU-T T.81, annex B)."""

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Data: TypeAlias = "bytes | mmap.mmap"

START_OF_PICTURE, END_OF_PICTURE, START_OF_SCAN = 0xD8, 0xD9, 0xDA
APP0, APP1, APP2, APP13, APP14, COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
LONGEST_BODY = 65533
"""Most bytes in a segment after its length field."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # excludes the markers that occur within a scan
_WITHOUT_BODY = (0x01, START_OF_PICTURE, END_OF_PICTURE)


@dataclass(frozen=True)
class Segment:
    """The position of a marker and its data in the file; a scan's coded data belong to its header."""

    marker: int
    """Its second byte."""
    start: int
    body: int
    """Where the bytes after marker and length begin."""
    end: int


def segments(data: Data) -> Iterator[Segment]:
    """Yield the segments up to the end marker, or to the end of a file without one."""
    at = 0
    while found := _MARKER.search(data, at):
        marker, start, body = found[1][0], found.start(), found.end()
        at = body
        if marker not in _WITHOUT_BODY:
            at += int.from_bytes(data[body : body + 2], "big")
            body += 2
        if marker == START_OF_SCAN:
            following = _MARKER.search(data, at)
            at = following.start() if following else len(data)
        end = min(at, len(data))
        yield Segment(marker, start, min(body, end), end)
        if marker == END_OF_PICTURE:
            return


def segment(marker: int, body: bytes) -> bytes:
    """Return a complete segment; the body has at most LONGEST_BODY bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
