"""What a photo's file says beside its pixels, cleaned so that it stays true of the restored photo."""

import io
import re
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from PIL import ImageCms
from PIL.ExifTags import IFD, Base
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile, get_sampling


@dataclass(frozen=True)
class JpegCoding:
    """How strongly a JPEG was compressed, so that writing it again loses no more than that."""

    tables: tuple[tuple[int, ...], ...]
    """One to four quantisation tables of 64 steps, as Pillow takes them."""
    subsampling: int
    """Of the colours: 0, 1, 2 for 4:4:4, 4:2:2, 4:2:0."""
    progressive: bool


@dataclass(frozen=True)
class PhotoSource:
    """What is kept of a photo's file; the default is a colour photo that comes from no file."""

    format: str | None = None
    """Pillow's name: JPEG, PNG, WEBP, TIFF, BMP, GIF, HEIF."""
    grey: bool = False
    """The three channels were one, and are written as one."""
    icc: bytes | None = None
    """The colour profile of the pixels, RGB or grey; None means sRGB."""
    exif: bytes | None = None
    """An EXIF block that says "upright" and carries no thumbnail."""
    xmp: bytes | None = None
    """An XMP packet (UTF-8) that says "upright"."""
    dpi: tuple[float, float] | None = None
    """Dots per inch across and down."""
    jpeg: JpegCoding | None = None
    """For a JPEG."""
    lossless: bool = False
    """For a WebP."""
    compressed: bool = True
    """For a TIFF."""


# First-directory tags that describe how a TIFF (or a thumbnail) stores its pixels, and blocks kept elsewhere.
_STORAGE_TAGS = frozenset(
    {*range(254, 267), 273, *range(277, 282), 284, *range(288, 292), 301, *range(317, 348), *range(512, 533)}
    | {Base.XMLPacket, Base.ImageResources, Base.InterColorProfile, 37724, *range(50706, 51200)}
)
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))([0-9])")


def source_of(image: ImageFile, file: BinaryIO, *, grey: bool) -> PhotoSource:
    """Collect what is kept of a loaded `image`, which was opened from `file`; what is broken is left out."""
    xmp = _xmp_of(image)
    return PhotoSource(
        format=image.format,
        grey=grey,
        icc=_icc_of(image, "GRAY" if grey else "RGB"),
        exif=_exif_of(image),
        xmp=xmp and _XMP_ORIENTATION.sub(rb"\g<1>1", xmp),
        dpi=_dpi_of(image),
        jpeg=_jpeg_coding_of(image),
        lossless=image.format == "WEBP" and _is_lossless_webp(file),
        compressed=image.info.get("compression") != "raw",
    )


def without_metadata(source: PhotoSource) -> PhotoSource:
    """Return what is left when nothing may tell of people, places and devices.

    The pixels need their colour profile; the density tells nothing. Orientation has been applied.
    """
    return replace(source, exif=None, xmp=None)


def orientation_of(image: ImageFile) -> int:
    """Return the EXIF orientation (1…8) that a loaded image still needs; 1 where the file names none."""
    if image.format == "TIFF":  # Pillow turns a TIFF while it loads it
        return 1
    try:
        orientation = image.getexif().get(Base.Orientation)
    except Exception:  # broken EXIF
        orientation = None
    in_xmp = _XMP_ORIENTATION.search(_xmp_of(image) or b"")
    if orientation is None and in_xmp:
        orientation = int(in_xmp[2])
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _icc_of(image: ImageFile, colours: str) -> bytes | None:
    # A profile of another kind described the pixels before they were converted (CMYK, Lab), or is misplaced.
    icc = image.info.get("icc_profile")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc or b"")).profile
    except (OSError, TypeError, ImageCms.PyCMSError):
        return None
    return icc if profile.xcolor_space.strip() == colours and image.mode != "LAB" else None


def _exif_of(image: ImageFile) -> bytes | None:
    try:
        exif = image.getexif()
        for tag in _STORAGE_TAGS.intersection(exif):
            del exif[tag]
        details = exif.get_ifd(IFD.Exif)
        for tag in (Base.ExifImageWidth, Base.ExifImageHeight, IFD.Interop):
            details.pop(tag, None)  # the size is untrue once turned or enlarged; the third is an offset
        if Base.Orientation in exif:
            exif[Base.Orientation] = 1
        exif.bigtiff = False
        return exif.tobytes() if len(exif) else None  # the thumbnail's directory is not written
    except Exception:  # broken EXIF: Pillow raises whatever it stumbles over
        return None


def _xmp_of(image: ImageFile) -> bytes | None:
    xmp = image.info.get("xmp")
    if not isinstance(xmp, bytes):
        return None
    try:
        xmp.decode()
    except UnicodeDecodeError:
        return None
    return xmp


def _dpi_of(image: ImageFile) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return (across, down) if 1 < across < 65536 and 1 < down < 65536 else None  # 1: a TIFF that names none


def _jpeg_coding_of(image: ImageFile) -> JpegCoding | None:
    if not isinstance(image, JpegImageFile) or image.mode == "CMYK":
        return None
    tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
    if not 1 <= len(tables) <= 4 or any(len(table) != 64 for table in tables):
        return None
    # -1 stands for grey and for rare samplings, which 4:4:4 keeps whole.
    return JpegCoding(tables, max(0, get_sampling(image)), "progressive" in image.info)


def _is_lossless_webp(file: BinaryIO) -> bool:
    file.seek(12)  # past RIFF, size, WEBP
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        if name in (b"VP8L", b"VP8 ", b"ANMF"):
            return bool(name == b"VP8L")
        file.seek(size + size % 2, io.SEEK_CUR)
    return False
