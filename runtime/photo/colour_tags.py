"""Colour descriptions in files other than ICC profiles: PNG chunks, HEIF's nclx box, EXIF and TIFF tags."""

import struct
from typing import Any

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.ImageFile import ImageFile

from runtime.photo.boxes import colour_codes
from runtime.photo.chunks import png_chunk, png_chunks
from runtime.photo.colours import Colours, adobe_rgb, of_codes, of_gamma, of_primaries, of_tables, srgb
from runtime.photo.jpeg_segments import Data

_PNG_COLOURS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"mDCV": 24, b"cLLI": 8}
"""Chunks and their sizes; all of them come before the palette and the samples."""
_SRGB_CODES = b"\x01\x0d"
_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARIES = 301, 318, 319
_INTEROP_INDEX = 1
_UNIT = 100_000
"""Of cHRM and gAMA."""


def png_colours(data: Data) -> dict[bytes, bytes]:
    """Return the unchanged, well-formed colour chunks of a PNG other than iCCP, the first of each kind."""
    found: dict[bytes, bytes] = {}
    for chunk in png_chunks(data):
        if chunk.name in (b"IDAT", b"PLTE"):
            break
        if chunk.size == _PNG_COLOURS.get(chunk.name):
            found.setdefault(chunk.name, data[chunk.body : chunk.body + chunk.size])
    return found


def of_png(chunks: dict[bytes, bytes], *, has_profile: bool) -> Colours | None:
    """Return the colours that a PNG's chunks describe; None for sRGB, or if the ICC profile applies.

    cICP takes precedence over iCCP, iCCP over sRGB, and sRGB over gAMA and cHRM (PNG, third edition, section
    4.3). If cICP cannot be written for an HDR image, the file's own profile is the better description.
    """
    cicp = chunks.get(b"cICP")
    if cicp and cicp[2] == 0:
        colours = of_codes(cicp[0], cicp[1], full_range=cicp[3] != 0)
        if colours and not (colours.cicp and has_profile):
            return colours
        if cicp[:2] == _SRGB_CODES:
            return srgb() if has_profile else None
    if has_profile or b"sRGB" in chunks:
        return None
    (gamma,) = struct.unpack(">I", chunks.get(b"gAMA", bytes(4)))
    xy = struct.unpack(">8I", chunks[b"cHRM"]) if b"cHRM" in chunks else ()
    white, red, green, blue = (
        ((xy[i] / _UNIT, xy[i + 1] / _UNIT) for i in range(0, 8, 2)) if xy else [(0, 0)] * 4
    )
    primaries = (red, green, blue, white) if xy else None
    if gamma:
        return of_gamma(_UNIT / gamma, primaries)
    return of_primaries(primaries) if primaries else None


def as_png_chunks(chunks: dict[bytes, bytes]) -> bytes:
    """Return complete PNG chunks, in order of precedence."""
    return b"".join(png_chunk(name, chunks[name]) for name in _PNG_COLOURS if name in chunks)


def of_nclx(image: ImageFile, data: Data) -> tuple[Colours | None, dict[bytes, bytes]]:
    """Return the colours that a HEIF's or AVIF's nclx box describes, also as a PNG cICP chunk."""
    nclx = image.info.get("nclx_profile")
    try:
        codes = (int(nclx["color_primaries"]), int(nclx["transfer_characteristics"])) if nclx else None
    except (KeyError, TypeError, ValueError):
        return None, {}
    codes = codes or colour_codes(data)  # Pillow does not tell an AVIF's
    if codes is None or max(codes) > 255:
        return None, {}
    primaries, transfer = codes
    colours = of_codes(primaries, transfer)  # the decoder has expanded a limited range
    return colours, {b"cICP": bytes([primaries, transfer, 0, 1])} if colours else {}


def of_exif(image: ImageFile) -> Colours | None:
    """Return Adobe RGB if EXIF names it by R03, as cameras do (DCF 2.0, section 6.2); otherwise None."""
    try:
        index = image.getexif().get_ifd(IFD.Interop).get(_INTEROP_INDEX)
    except Exception:  # broken EXIF
        return None
    return adobe_rgb() if str(index).startswith("R03") else None


def of_tiff(tags: Any) -> Colours | None:
    """Return the colours that a TIFF's tags describe (TIFF 6.0, section 20), or None."""
    try:
        table, white, colours = (tags.get(tag) for tag in (_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARIES))
        primaries = None
        if white and colours:
            x0, y0, x1, y1, x2, y2 = (float(value) for value in colours)
            primaries = ((x0, y0), (x1, y1), (x2, y2), (float(white[0]), float(white[1])))
        if table:
            levels = 2 ** int(tags.get(Base.BitsPerSample, (8,))[0])
            if len(table) in (levels, 3 * levels):
                return of_tables([*np.reshape(table, (-1, levels))], primaries)
        return of_gamma(2.2, primaries) if primaries else None
    except (TypeError, ValueError, ArithmeticError):
        return None


def with_orientation_only(orientation: int) -> bytes:
    """Return an EXIF block, without JPEG's header, that holds only the orientation."""
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")
