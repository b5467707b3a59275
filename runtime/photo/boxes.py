"""Find properties of a HEIF or AVIF's main picture without decoding it (ISO/IEC 14496-12 and 23008-12)."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from runtime.photo.jpeg_segments import Data

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}
"""Boxes that hold others, and the bytes of version and flags before these."""


class Box(NamedTuple):
    """The position of a box's contents in its file."""

    name: bytes
    body: int
    end: int


def boxes(data: Data, start: int, end: int) -> Iterator[Box]:
    """Yield the complete boxes between two offsets."""
    at = start
    while at + 8 <= end:
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body = at + 8
        if size == 1 and body + 8 <= end:
            (size,) = struct.unpack(">Q", data[body : body + 8])
            body += 8
        following = at + size if size else end  # 0: up to the end of the file
        if not body <= following <= end:
            return
        yield Box(name, body, following)
        at = following


def colour_codes(data: Data) -> tuple[int, int] | None:
    """Return primaries and transfer (H.273) of the main picture's nclx box; None if it has none."""
    try:
        return _colour_codes(data)
    except (struct.error, IndexError, StopIteration):  # cut short or without these boxes
        return None


def _colour_codes(data: Data) -> tuple[int, int] | None:
    meta = _inside(data, Box(b"", 0, len(data)), b"meta")
    main, properties = _inside(data, meta, b"pitm"), _inside(data, meta, b"iprp")
    form = ">I" if data[main.body] else ">H"
    (item,) = struct.unpack_from(form, data, main.body + 4)
    held = _inside(data, properties, b"ipco")
    listed = list(boxes(data, held.body, held.end))
    for box in boxes(data, properties.body, properties.end):
        if box.name != b"ipma":
            continue
        for number in _properties_of(data, box, item):
            if not 1 <= number <= len(listed):
                continue
            colour = listed[number - 1]
            if colour.name == b"colr" and data[colour.body : colour.body + 4] == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", data, colour.body + 4)
                return primaries, transfer
    return None


def _inside(data: Data, outer: Box, name: bytes) -> Box:
    skipped = _CONTAINERS.get(outer.name, 0)
    return next(box for box in boxes(data, outer.body + skipped, outer.end) if box.name == name)


def _properties_of(data: Data, box: Box, item: int) -> Iterator[int]:
    """Yield the numbers, from 1, of an item's properties in an association box."""
    version, has_long = data[box.body], data[box.body + 3] & 1
    (count,) = struct.unpack_from(">I", data, box.body + 4)
    at = box.body + 8
    for _ in range(count):
        (number,) = struct.unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        length = data[at]
        at += 1
        for i in range(length):
            if number == item:
                (index,) = struct.unpack_from(">H", data, at + 2 * i) if has_long else (data[at + i],)
                yield index & (0x7FFF if has_long else 0x7F)
        at += length * (2 if has_long else 1)
