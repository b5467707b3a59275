"""A photo file's properties and metadata, corrected so that they stay true of the restored photo."""

import io
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.TiffImagePlugin import TiffImageFile

from runtime.photo.boxes import boxes
from runtime.photo.captions import (
    IPTC_TAG,
    RESOURCES_TAG,
    Text,
    gif_captions,
    jpeg_captions,
    png_captions,
    tagged_captions,
)
from runtime.photo.chunks import riff_chunks
from runtime.photo.colour_tags import as_png_chunks, of_exif, of_nclx, of_png, of_tiff, png_colours
from runtime.photo.colours import Colours, icc_profile
from runtime.photo.extended_xmp import extended_xmp, second_part_cleaned
from runtime.photo.jpeg_segments import Data, segments
from runtime.photo.mapped import mapped
from runtime.photo.original import Original, OriginalBytes
from runtime.photo.suffixes import LOSSY_READ_ONLY
from runtime.photo.xmp import VIDEO, orientation_in, upright, without_parts


@dataclass(frozen=True)
class JpegCoding:
    """How strongly a JPEG was compressed, so that rewriting it loses no more than that."""

    tables: tuple[tuple[int, ...], ...]
    """One to four quantisation tables of 64 steps, in Pillow's form."""
    subsampling: int
    """Chroma subsampling: 0, 1, 2 for 4:4:4, 4:2:2, 4:2:0."""
    progressive: bool


@dataclass(frozen=True)
class PhotoSource:
    """What is kept of a photo's file; the default is a colour photo that comes from no file."""

    format: str | None = None
    """Pillow's name: JPEG, PNG, WEBP, TIFF, BMP, GIF, HEIF, AVIF."""
    grey: bool = False
    """The three channels were one, and are written as one."""
    icc: bytes | None = None
    """The file's colour profile, RGB or grey. Without it, and without `colours`, the pixels are sRGB."""
    colours: Colours | None = None
    """The file's colours if they are described outside a profile and that description takes precedence."""
    png_colours: bytes = b""
    """The same as complete PNG chunks."""
    exif: bytes | None = None
    """An EXIF block without thumbnail whose orientation is upright."""
    xmp: bytes | None = None
    """An XMP packet (UTF-8) whose orientation is upright, without references to parts that a result lacks."""
    extended_xmp: tuple[bytes, ...] = ()
    """Bodies of the segments that continue a JPEG's XMP."""
    texts: tuple[Text, ...] = ()
    """Comments and PNG texts."""
    captions: bytes = b""
    """IPTC and other captions, as Photoshop's image resources."""
    parts: tuple[str, ...] = ()
    """Parts of the file that a restored photo lacks, such as "an animation"."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical dots per inch."""
    jpeg: JpegCoding | None = None
    """For a JPEG."""
    lossless: bool = False
    """For a WebP."""
    compressed: bool = True
    """For a TIFF."""
    orientation: int = 1
    """The EXIF orientation of the file, which has been applied to the pixels."""
    damaged: bool = False
    """Some of the pixels could not be decoded."""
    stripped: bool = False
    """Metadata was left out on request."""
    original: Original | OriginalBytes | None = None
    """What the photo was read from."""


# First-directory tags that describe how a TIFF or thumbnail stores its pixels, and blocks stored elsewhere.
_STORAGE_TAGS = frozenset(
    {*range(254, 267), 273, *range(277, 282), 284, *range(288, 292), 301, *range(317, 348), *range(512, 533)}
    | {Base.XMLPacket, IPTC_TAG, RESOURCES_TAG, Base.InterColorProfile, 37724, *range(50706, 51200)}
)
_MPO_ENTRIES = 0xB002
_MOTION = b"mpvd"
"""The box of a motion photo's video beside a HEIC (Motion Photo format 1.0)."""
_JPEG_START = b"\xff\xd8\xff"
_TURNED_BY_DECODER = ("TIFF", "HEIF")
_PREVIEWS = (
    "Baseline MP Primary Image",
    "Large Thumbnail (VGA Equivalent)",
    "Large Thumbnail (Full HD Equivalent)",
)


def source_of(image: ImageFile, file: BinaryIO, *, grey: bool) -> PhotoSource:
    """Collect what is kept of a loaded `image`, which was opened from `file`; broken metadata is left out."""
    icc = _icc_of(image, "GRAY" if grey else "RGB")
    orientation = orientation_of(image)
    with mapped(file) as data:
        colours, png = _colours_of(image, data, has_profile=icc is not None)
        texts, captions = _captions_of(image, data)
        extended = extended_xmp(data) if image.format == "JPEG" else ()
        xmp, parts = _xmp_of(image), frozenset[str]()
        if xmp:
            xmp, extended, in_second = second_part_cleaned(upright(xmp), extended)
            xmp, parts = without_parts(xmp, extended=bool(extended))
            parts |= in_second
        if _has_video(image, data):
            parts |= {VIDEO}
        return PhotoSource(
            format=image.format,
            grey=grey,
            icc=icc,
            colours=colours,
            png_colours=png,
            exif=_exif_of(image),
            xmp=xmp,
            extended_xmp=extended if xmp else (),
            texts=texts,
            captions=captions,
            parts=(*sorted(parts), *_further_pictures(image)),
            dpi=_dpi_of(image),
            jpeg=_jpeg_coding_of(image),
            lossless=image.format == "WEBP" and _is_lossless_webp(data),
            compressed=image.info.get("compression") != "raw",
            orientation=orientation,
        )


def without_metadata(source: PhotoSource) -> PhotoSource:
    """Return the source without anything that could reveal people, places or devices.

    The colour profile is needed for the pixels, and the density reveals nothing. Orientation has been
    applied.
    """
    removed = {"exif": None, "xmp": None, "extended_xmp": (), "texts": (), "captions": b"", "stripped": True}
    return replace(source, **removed)  # type: ignore[arg-type]


def profile_of(source: PhotoSource) -> bytes | None:
    """Return the ICC profile of the pixels, made from the file's other colour description if necessary."""
    written = source.colours and icc_profile(source.colours, grey=source.grey)
    return written or source.icc


def orientation_of(image: ImageFile) -> int:
    """Return the EXIF orientation (1…8) that a loaded image still needs; 1 if the file gives none."""
    if image.format in _TURNED_BY_DECODER:  # TIFF has a tag; for HEIF only its own boxes count
        return 1
    is_avif = image.format == "AVIF"  # Pillow puts the turn of its boxes into the EXIF block; XMP turns none
    try:
        exif = Image.Exif() if is_avif else image.getexif()
        if is_avif:
            exif.load(image.info.get("exif", b""))
        orientation = exif.get(Base.Orientation)
    except Exception:  # broken EXIF
        orientation = None
    if orientation is None and not is_avif:
        orientation = orientation_in(_xmp_of(image) or b"")
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _colours_of(image: ImageFile, data: Data, *, has_profile: bool) -> tuple[Colours | None, bytes]:
    """Return the colours that are described outside a profile, and equivalent PNG chunks."""
    if image.format == "PNG":
        chunks = png_colours(data)
        return of_png(chunks, has_profile=has_profile), as_png_chunks(chunks)
    if has_profile or image.mode in ("CMYK", "LAB"):
        return None, b""
    if image.format in LOSSY_READ_ONLY:
        colours, chunks = of_nclx(image, data)
        return colours, as_png_chunks(chunks)
    if isinstance(image, TiffImageFile):
        return of_tiff(image.tag_v2), b""
    return of_exif(image), b""


def _captions_of(image: ImageFile, data: Data) -> tuple[tuple[Text, ...], bytes]:
    texts: tuple[Text, ...] = ()
    captions = b""
    if image.format == "JPEG":
        texts, captions = jpeg_captions(data)
    elif image.format == "PNG":
        texts, captions = png_captions(data)
    elif image.format == "GIF":
        texts = gif_captions(image)
    if not captions:
        with suppress(Exception):  # broken EXIF
            tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
            captions = tagged_captions(tags)
    return texts, captions


def _has_video(image: ImageFile, data: Data) -> bool:
    """Return whether a video follows the picture; not every motion photo's XMP mentions it."""
    if image.format in LOSSY_READ_ONLY:
        return any(box.name == _MOTION for box in boxes(data, 0, len(data)))
    if image.format != "JPEG":
        return False
    end = max((each.end for each in segments(data)), default=0)
    start = data[end : end + 256]
    return start[4:8] == b"ftyp" or b"MotionPhoto_Data" in start


def _further_pictures(image: ImageFile) -> tuple[str, ...]:
    if image.format in ("GIF", "PNG", "WEBP", "AVIF"):
        return ("an animation",) if getattr(image, "is_animated", False) else ()
    if image.format == "HEIF":
        return ("further pictures",) if getattr(image, "n_frames", 1) > 1 else ()
    with suppress(Exception):  # a broken index of further images
        if isinstance(image, JpegImageFile) and "mp" in image.info:
            index = image._getmp() or {}
            kinds = [entry["Attribute"]["MPType"] for entry in index.get(_MPO_ENTRIES, ())]
            return ("further pictures",) if any(kind not in _PREVIEWS for kind in kinds[1:]) else ()
    return ()


def _icc_of(image: ImageFile, colours: str) -> bytes | None:
    # A profile of another kind described the pixels before conversion (CMYK, Lab), or is out of place.
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
            details.pop(tag, None)  # the size becomes wrong when turned or enlarged; the third is an offset
        for block in (exif, details):
            for tag in [tag for tag, value in block.items() if _is_picture(value)]:
                del block[tag]
        if Base.Orientation in exif:
            exif[Base.Orientation] = 1
        exif.bigtiff = False
        return exif.tobytes() if len(exif) else None  # the thumbnail's directory is not written
    except Exception:  # Pillow may raise anything on broken EXIF
        return None


def _is_picture(value: object) -> bool:
    """Return whether a value holds a picture, as makers' notes may: it shows the unrestored face."""
    return isinstance(value, bytes) and _JPEG_START in value


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
    return (across, down) if 1 < across < 65536 and 1 < down < 65536 else None  # 1: a TIFF without the tag


def _jpeg_coding_of(image: ImageFile) -> JpegCoding | None:
    if not isinstance(image, JpegImageFile) or image.mode == "CMYK":
        return None
    tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
    if not 1 <= len(tables) <= 4 or any(len(table) != 64 for table in tables):
        return None
    # -1 stands for grey and for rare subsamplings, which 4:4:4 preserves.
    return JpegCoding(tables, max(0, get_sampling(image)), "progressive" in image.info)


def _is_lossless_webp(data: Data) -> bool:
    names = (chunk.name for chunk in riff_chunks(data, 12, len(data)))
    return next((name for name in names if name in (b"VP8L", b"VP8 ", b"ANMF")), None) == b"VP8L"
