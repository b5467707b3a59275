"""The second part of a JPEG's XMP, for what does not fit into one segment (XMP specification, part 3)."""

import hashlib
import struct

from runtime.photo.jpeg_segments import APP1, LONGEST_BODY, Data, segments
from runtime.photo.xmp import without_parts

_HEADER = b"http://ns.adobe.com/xmp/extension/\0"
_DIGEST, _NUMBERS = 32, struct.Struct(">II")
_BEFORE = len(_HEADER) + _DIGEST + _NUMBERS.size
"""Bytes before the data in each segment: header, digest of the packet, its length, this piece's offset."""


def extended_xmp(data: Data) -> tuple[bytes, ...]:
    """Return the bodies of a JPEG's segments that continue its XMP."""
    bodies = (data[each.body : each.end] for each in segments(data) if each.marker == APP1)
    return tuple(body for body in bodies if body.startswith(_HEADER))


def second_part_cleaned(
    xmp: bytes, bodies: tuple[bytes, ...]
) -> tuple[bytes, tuple[bytes, ...], frozenset[str]]:
    """Return XMP and the segments that continue it, these without references to parts that a result lacks.

    Segments without such references stay byte for byte. Returns the names of the parts as well.
    """
    packets = _packets(bodies)
    cleaned = {digest: without_parts(packet) for digest, packet in packets.items()}
    if all(after == packets[digest] for digest, (after, _) in cleaned.items()):
        return xmp, bodies, frozenset()
    kept: tuple[bytes, ...] = ()
    for digest, (after, _) in cleaned.items():
        if after is not None:
            new = hashlib.md5(after, usedforsecurity=False).hexdigest().upper().encode()
            xmp = xmp.replace(digest, new)
            kept += _segments(new, after)
    return xmp, kept, frozenset[str]().union(*(parts for _, parts in cleaned.values()))


def _packets(bodies: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Return the packets by their digests, put together; a hole in one is filled with zeros."""
    packets: dict[bytes, bytearray] = {}
    for body in bodies:
        if len(body) < _BEFORE:
            continue
        digest = body[len(_HEADER) :][:_DIGEST]
        _, at = _NUMBERS.unpack_from(body, len(_HEADER) + _DIGEST)
        packet = packets.setdefault(digest, bytearray())
        if at <= sum(map(len, bodies)):
            packet.extend(bytes(max(0, at - len(packet))))
            packet[at : at + len(body) - _BEFORE] = body[_BEFORE:]
    return {digest: bytes(packet) for digest, packet in packets.items()}


def _segments(digest: bytes, packet: bytes) -> tuple[bytes, ...]:
    room = LONGEST_BODY - _BEFORE
    return tuple(
        _HEADER + digest + _NUMBERS.pack(len(packet), at) + packet[at : at + room]
        for at in range(0, len(packet), room)
    )
