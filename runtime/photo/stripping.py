"""Remove what a file reveals about people, places and devices, without re-encoding its picture."""

from collections.abc import Callable

from runtime.photo.chunks import PNG_SIGNATURE, png_chunk, png_chunks, riff_chunk, riff_chunks
from runtime.photo.colour_tags import with_orientation_only
from runtime.photo.jpeg_segments import (
    APP0,
    APP1,
    APP2,
    APP14,
    END_OF_PICTURE,
    LONGEST_BODY,
    START_OF_PICTURE,
    segment,
    segments,
)

_JFIF, _ICC, _ADOBE = b"JFIF\0", b"ICC_PROFILE\0", b"Adobe"
_JFIF_SIZE = 14
"""Without its thumbnail."""
_PNG_KEPT = frozenset({
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"hIST", b"acTL", b"fcTL", b"fdAT",
})  # fmt: skip
_WEBP_KEPT = frozenset({b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"})
_ANMF_HEADER = 16
_EXIF_FLAG, _XMP_FLAG = 0x08, 0x04


def strip(content: bytes, format_name: str | None, orientation: int, icc: bytes | None) -> bytes | None:
    """Return a file's bytes with only the picture, its colours, density and orientation.

    orientation  1…8; values other than 1 stay as the only EXIF entry, because the pixels are not turned
    icc          a profile to insert into a JPEG whose EXIF described its colours

    Returns None for a format that cannot be stripped without re-encoding.
    """
    stripper = _STRIPPERS.get(format_name or "")
    return stripper(content, orientation, icc) if stripper else None


def _strip_jpeg(content: bytes, orientation: int, icc: bytes | None) -> bytes | None:
    exif = segment(APP1, b"Exif\0\0" + with_orientation_only(orientation)) if orientation != 1 else b""
    profile = segment(APP2, _ICC + b"\1\1" + icc) if icc and len(icc) < LONGEST_BODY - 14 else b""
    parts, jfif, ended = [], b"", False
    for each in segments(content):
        body = content[each.body : each.end]
        ended = each.marker == END_OF_PICTURE
        if each.marker == APP0 and body.startswith(_JFIF) and len(body) >= _JFIF_SIZE and not jfif:
            jfif = segment(APP0, body[: _JFIF_SIZE - 2] + b"\0\0")
        elif (
            each.marker < APP0 or (each.marker, body[:5]) == (APP14, _ADOBE) or _is_profile(each.marker, body)
        ):
            parts.append(content[each.start : each.end])
    if parts[:1] != [bytes([0xFF, START_OF_PICTURE])]:
        return None
    end = b"" if ended else bytes([0xFF, END_OF_PICTURE])
    return b"".join([parts[0], jfif, exif, profile, *parts[1:], end])


def _is_profile(marker: int, body: bytes) -> bool:
    return marker == APP2 and body.startswith(_ICC)


def _strip_png(content: bytes, orientation: int, icc: bytes | None) -> bytes | None:
    kept = [content[each.start : each.end] for each in png_chunks(content) if each.name in _PNG_KEPT]
    if orientation != 1:
        kept.insert(1, png_chunk(b"eXIf", with_orientation_only(orientation)))
    return PNG_SIGNATURE + b"".join(kept)


def _strip_webp(content: bytes, orientation: int, icc: bytes | None) -> bytes | None:
    end = min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    kept = []
    for each in riff_chunks(content, 12, end):
        body = content[each.body : each.body + each.size]
        if each.name == b"VP8X" and body:
            flags = body[0] & ~(_EXIF_FLAG | _XMP_FLAG) | (_EXIF_FLAG if orientation != 1 else 0)
            kept.append(riff_chunk(each.name, bytes([flags]) + body[1:]))
        elif each.name == b"ANMF":
            frame = riff_chunks(content, each.body + _ANMF_HEADER, each.body + each.size)
            parts = [content[part.start : part.end] for part in frame if part.name in _WEBP_KEPT]
            kept.append(riff_chunk(each.name, b"".join([body[:_ANMF_HEADER], *parts])))
        elif each.name in _WEBP_KEPT:
            kept.append(riff_chunk(each.name, body))
    if orientation != 1:
        kept.append(riff_chunk(b"EXIF", with_orientation_only(orientation)))
    return riff_chunk(b"RIFF", b"WEBP" + b"".join(kept))


_STRIPPERS: dict[str, Callable[[bytes, int, bytes | None], bytes | None]] = {
    "JPEG": _strip_jpeg,
    "PNG": _strip_png,
    "WEBP": _strip_webp,
}
