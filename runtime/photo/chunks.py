"""Find the chunks of PNG (ISO/IEC 15948) and WebP (RFC 9649) files without decoding them."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from runtime.photo.jpeg_segments import Data

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Chunk(NamedTuple):
    """The position of a chunk in its file."""

    name: bytes
    start: int
    """Where its header begins."""
    body: int
    size: int
    """Of the body; bytes."""
    end: int
    """Where the next chunk begins."""


def png_chunks(data: Data) -> Iterator[Chunk]:
    """Yield the complete chunks of a PNG up to and including IEND."""
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + size
        if end > len(data):
            return
        yield Chunk(name, at, at + 8, size, end)
        if name == b"IEND":
            return
        at = end


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Return a complete PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def riff_chunks(data: Data, start: int, end: int) -> Iterator[Chunk]:
    """Yield the complete chunks between two offsets of a WebP; `start` is 12 for those of the file."""
    at = start
    while at + 8 <= end:
        name, size = struct.unpack("<4sI", data[at : at + 8])
        if at + 8 + size > end:
            return
        following = min(at + 8 + size + size % 2, end)
        yield Chunk(name, at, at + 8, size, following)
        at = following


def riff_chunk(name: bytes, body: bytes) -> bytes:
    """Return a complete RIFF chunk, padded to an even length."""
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
