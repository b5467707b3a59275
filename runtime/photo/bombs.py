"""Small files that ask for work without bounds, recognised before a decoder takes them on."""

import mmap
import re
from typing import BinaryIO

MOST_SCANS = 100
"""Of a progressive JPEG. Encoders write about ten; each costs the decoder a pass over the whole picture."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # none of those that stand within a scan
_START_OF_SCAN, _END_OF_PICTURE = b"\xda", b"\xd9"
_WITHOUT_BODY = (b"\x01", b"\xd8")


def has_endless_scans(file: BinaryIO) -> bool:
    """Return whether the first picture of a JPEG has more scans than any encoder writes."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        scans, at = 0, 0
        while scans <= MOST_SCANS and (found := _MARKER.search(data, at)):
            marker, at = found[1], found.end()
            if marker == _END_OF_PICTURE:
                break
            scans += marker == _START_OF_SCAN
            if marker not in _WITHOUT_BODY:
                at += int.from_bytes(data[at : at + 2], "big")
    return scans > MOST_SCANS


def webp_size(start: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP, which its decoder makes room for as soon as it is opened.

    start  at least 30 bytes of it

    None means that the header is of no kind that is known here. Written from the container's specification
    (RFC 9649) and RFC 6386, section 9.1, for lossy pictures.
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
