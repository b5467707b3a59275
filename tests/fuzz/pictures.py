"""Small pictures of every format and kind that is read, to begin with."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms, features
from PIL.TiffImagePlugin import ImageFileDirectory_v2

WIDTH, HEIGHT = 14, 11
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation="6"/></x:xmpmeta>'


def pictures() -> dict[str, bytes]:
    """Return files by name, whose beginning is the format; always the same."""
    rgb = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    colour = Image.fromarray(rgb)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = _exif()
    return {
        "jpeg-exif-icc": _saved(colour, "JPEG", exif=exif, icc_profile=profile, dpi=(72, 72)),
        "jpeg-grey-progressive": _saved(colour.convert("L"), "JPEG", progressive=True, comment=b"by hand"),
        "jpeg-cmyk": _saved(colour.convert("CMYK"), "JPEG", xmp=_XMP),
        "jpeg-mpo": _saved(colour, "MPO", save_all=True, append_images=[colour.rotate(180)]),
        "png-alpha": _saved(colour.convert("RGBA"), "PNG", exif=exif, icc_profile=profile),
        "png-palette": _saved(colour.convert("P"), "PNG", transparency=1),
        "png-deep": _deep_png(),
        "webp-lossy": _saved(colour, "WEBP", exif=exif, xmp=_XMP, icc_profile=profile),
        "webp-lossless": _saved(colour.convert("RGBA"), "WEBP", lossless=True),
        "webp-moving": _saved(colour, "WEBP", save_all=True, append_images=[colour.rotate(180)]),
        "tiff-lzw": _saved(colour, "TIFF", compression="tiff_lzw", exif=exif, icc_profile=profile),
        "tiff-jpeg": _saved(colour, "TIFF", compression="jpeg"),
        "tiff-bits": _saved(colour.convert("1"), "TIFF", compression="group4"),
        "tiff-float": _saved(Image.fromarray(rgb[..., 0].astype(np.float32) / 255), "TIFF"),
        "tiff-lab": _saved(Image.new("LAB", (WIDTH, HEIGHT), (90, 120, 140)), "TIFF"),
        "tiff-big": _saved(colour, "TIFF", big_tiff=True),
        "tiff-deep": _deep_tiff(),
        "bmp-colour": _saved(colour, "BMP"),
        "bmp-runs": _run_length_bmp(),
        "gif-palette": _saved(colour.convert("P"), "GIF", transparency=0),
        "gif-moving": _saved(colour, "GIF", save_all=True, append_images=[colour.rotate(180)]),
        "heif-turned": _heif(colour.resize((32, 24)), exif=exif.tobytes(), xmp=_XMP, icc_profile=profile),
    }


def avif_pictures() -> dict[str, bytes]:
    """Return AVIFs by name, if Pillow can write them; the corpus of `make fuzz` does without them."""
    if not features.check("avif"):
        return {}
    colour = Image.fromarray(np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    return {
        "avif-turned": _saved(colour, "AVIF", exif=_exif(), xmp=_XMP),
        "avif-moving": _saved(colour, "AVIF", save_all=True, append_images=[colour.rotate(180)]),
    }


def _saved(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _heif(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **options)
    return buffer.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Kiosk"
    exif.get_ifd(0x8769)[0xA434] = "50 mm"
    exif.get_ifd(0x8825)[2] = (47.0, 22.0, 10.5)
    return exif


def _deep() -> NDArray[np.uint16]:
    return np.random.default_rng(6).integers(0, 65536, (HEIGHT, WIDTH, 4), np.uint16)


def _deep_png() -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in _deep())
    parts = {b"IHDR": struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 6, 0, 0, 0), b"IDAT": zlib.compress(rows)}
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in [*parts.items(), (b"IEND", b"")])


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG with the check sum that it must have."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _deep_tiff() -> bytes:
    head, strip = b"MM\0*\0\0\0\x08", zlib.compress(_deep()[..., :3].astype(">u2").tobytes())
    directory = ImageFileDirectory_v2(head)
    size = {256: WIDTH, 257: HEIGHT, 258: (16, 16, 16), 277: 3, 278: HEIGHT}
    for tag, value in {**size, 259: 8, 262: 2, 273: 0, 279: len(strip), 284: 1}.items():
        directory[tag] = value
    return head + directory.tobytes(8) + strip


def _run_length_bmp() -> bytes:
    palette = bytes(4) * 256
    runs = b"".join(bytes([WIDTH, row, 0, 0]) for row in range(HEIGHT)) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + palette + runs
