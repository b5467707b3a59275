"""Damage done to pictures: what cards, cables and strangers do. The same seed does the same."""

import itertools
import random
import re
import struct
from collections.abc import Callable, Iterator

from tests.fuzz.pictures import png_chunk

Mutation = Callable[[bytes, random.Random], bytes]

_LIES = (0, 1, 2, 3, 7, 8, 12, 16, 24, 32, 64, 255, 256, 700, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
"""For what a header says of sizes, depths, kinds and counts."""
_METADATA = re.compile(rb"Exif\0\0|eXIf|EXIF|iCCP|ICCP|ICC_PROFILE|XMP |http://ns\.adobe|acsp|II\*\0|MM\0\*")
_PNG = b"\x89PNG\r\n\x1a\n"


def truncated(data: bytes, rng: random.Random) -> bytes:
    """Cut off the end."""
    return data[: rng.randrange(len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Flip single bits."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def blanked(data: bytes, rng: random.Random) -> bytes:
    """Write one value over a stretch, as a card does that loses a block."""
    start, length = rng.randrange(len(data)), rng.randint(1, 64)
    stretch = len(data[start : start + length])
    return data[:start] + bytes([rng.choice((0, 255, rng.randrange(256)))]) * stretch + data[start + length :]


def lying(data: bytes, rng: random.Random) -> bytes:
    """Change a number of the header; a PNG's check sums agree with it."""
    at, form = rng.choice(list(_fields(data)))
    largest = (1 << 8 * struct.calcsize(form)) - 1
    number = struct.pack(form, min(rng.choice(_LIES), largest))
    return _sealed(data[:at] + number + data[at + len(number) :])


def exchanged(data: bytes, rng: random.Random) -> bytes:
    """Swap two parts of the file."""
    parts = _parts(data)
    i, j = rng.sample(range(len(parts)), 2)
    parts[i], parts[j] = parts[j], parts[i]
    return b"".join(parts)


def repeated(data: bytes, rng: random.Random) -> bytes:
    """Say a part of the file again and again."""
    parts = _parts(data)
    i = rng.randrange(len(parts))
    return b"".join([*parts[:i], *[parts[i]] * rng.randint(2, 40), *parts[i + 1 :]])


def lacking(data: bytes, rng: random.Random) -> bytes:
    """Leave out a part of the file."""
    parts = _parts(data)
    del parts[rng.randrange(len(parts))]
    return b"".join(parts)


def followed(data: bytes, rng: random.Random) -> bytes:
    """Append junk, or the file once more."""
    return data + rng.choice(
        (rng.randbytes(rng.randint(1, 5000)), data, bytes(3000), b"\xff\xd8\xff\xe0" * 99)
    )


def mistold(data: bytes, rng: random.Random) -> bytes:
    """Damage the metadata (EXIF, ICC, XMP, a TIFF's tags); a PNG's check sums agree with it."""
    places = [found.start() for found in _METADATA.finditer(data)] or [0]
    start = rng.choice(places)
    end = min(len(data), start + 300)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        changed[rng.randrange(start, end)] = rng.choice((0, 1, 255, rng.randrange(256)))
    return _sealed(bytes(changed))


MUTATIONS: tuple[Mutation, ...] = (
    truncated,
    flipped,
    blanked,
    lying,
    exchanged,
    repeated,
    lacking,
    followed,
    mistold,
)


def _parts(data: bytes) -> list[bytes]:
    """Cut a file where its format does: at chunks, segments, directory entries; else into eighths."""
    ends = [at for at in _boundaries(data) if 0 < at < len(data)]
    if len(ends) < 2:
        ends = [len(data) * i // 8 for i in range(1, 8)]
    cuts = [0, *ends, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


def _boundaries(data: bytes) -> list[int]:
    if data.startswith(_PNG):
        return list(_chunk_starts(data, 8, ">I4x", 12))
    if data.startswith(b"RIFF"):
        return list(_chunk_starts(data, 12, "<4xI", 8, even=True))
    if data.startswith(b"\xff\xd8"):
        return [found.start() for found in re.finditer(rb"\xff[\xc0-\xcf\xd9-\xfe]", data)]
    return list(_entries(data))


def _chunk_starts(data: bytes, at: int, form: str, beside: int, *, even: bool = False) -> Iterator[int]:
    while at + 8 <= len(data):
        yield at
        (length,) = struct.unpack_from(form, data, at)
        at += length + beside + (length % 2 if even else 0)


def _entries(data: bytes) -> Iterator[int]:
    """Yield where each entry of a classic TIFF's first directory begins."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    yield from range(start + 2, start + 2 + 12 * count, 12)


def _fields(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield place and struct format of the header's numbers."""
    if data.startswith(_PNG):
        yield from [(16, ">I"), (20, ">I"), *((at, "B") for at in range(24, 29))]
        yield from ((at, ">I") for at in _boundaries(data))
    elif data.startswith(b"RIFF"):
        yield from [(4, "<I"), (20, "B"), (24, "<H"), (27, "<H"), (21, "<I"), (26, "<H"), (28, "<H")]
        yield from ((at + 4, "<I") for at in _boundaries(data))
    elif data.startswith(b"\xff\xd8"):
        for at in _boundaries(data):
            yield at + 2, ">H"  # how long it is
            if data[at + 1] in range(0xC0, 0xC3):
                yield from [(at + 4, "B"), (at + 5, ">H"), (at + 7, ">H"), (at + 9, "B"), (at + 11, "B")]
    elif data.startswith(b"BM"):
        yield from [
            (10, "<I"),
            (14, "<I"),
            (18, "<I"),
            (22, "<I"),
            (26, "<H"),
            (28, "<H"),
            (30, "<I"),
            (46, "<I"),
        ]
    elif data.startswith(b"GIF"):
        image = data.index(b",")
        yield from [
            (6, "<H"),
            (8, "<H"),
            (10, "B"),
            *((image + at, "<H") for at in (1, 3, 5, 7)),
            (image + 9, "B"),
        ]
    else:
        order = "<" if data[:2] == b"II" else ">"
        yield 4, f"{order}I"
        for at in _entries(data):
            yield from [
                (at, f"{order}H"),
                (at + 2, f"{order}H"),
                (at + 4, f"{order}I"),
                (at + 8, f"{order}I"),
            ]


def _sealed(data: bytes) -> bytes:
    """Set right the check sums of a PNG; others have none."""
    if not data.startswith(_PNG):
        return data
    parts = [data[:8]]
    for at in _chunk_starts(data, 8, ">I4x", 12):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            return b"".join([*parts, data[at:]])
        parts.append(png_chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
    return b"".join(parts)
