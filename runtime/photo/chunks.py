"""The chunks that PNG (ISO/IEC 15948) and WebP (RFC 9649) files consist of, without decoding them."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from runtime.photo.jpeg_segments import Data

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Chunk(NamedTuple):
    """A chunk of a file, as places in it."""

    name: bytes
    start: int
    """Where its header begins."""
    body: int
    size: int
    """Of the body; bytes."""
    end: int
    """Where the next one begins."""


def png_chunks(data: Data) -> Iterator[Chunk]:
    """Yield the whole chunks of a PNG, IEND the last."""
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
    """Return a whole PNG chunk, with its check sum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def riff_chunks(data: Data, start: int, end: int) -> Iterator[Chunk]:
    """Yield the whole chunks between two places of a WebP; `start` is 12 for those of the file."""
    at = start
    while at + 8 <= end:
        name, size = struct.unpack("<4sI", data[at : at + 8])
        if at + 8 + size > end:
            return
        following = min(at + 8 + size + size % 2, end)
        yield Chunk(name, at, at + 8, size, following)
        at = following


def riff_chunk(name: bytes, body: bytes) -> bytes:
    """Return a whole RIFF chunk, padded to an even length."""
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
