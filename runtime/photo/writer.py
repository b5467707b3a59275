"""Write a photo atomically, in the format of its suffix and with the properties of its source file."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image
from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import (
    ICCPROFILE,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    XMP,
    Y_RESOLUTION,
    ImageFileDirectory_v2,
)
from PIL.TiffTags import BYTE, UNDEFINED

from base.errors import GpenEdgeError, PhotoError
from base.files import draft_beside, write_atomically, write_new
from base.text import cause_of, one_line
from runtime.photo.captions import (
    IPTC_TAG,
    RESOURCES_TAG,
    apart,
    exif_with,
    fits_jpeg,
    iptc_of,
    jpeg_segments_of,
    png_chunks_of,
)
from runtime.photo.chunks import png_chunk
from runtime.photo.colours import icc_profile, of_grey_profile
from runtime.photo.deep_png import write_deep_png
from runtime.photo.jpeg_segments import APP1, LONGEST_BODY, segment
from runtime.photo.reader import Photo
from runtime.photo.samples import Samples
from runtime.photo.source import PhotoSource, profile_of
from runtime.photo.suffixes import LOSSY_READ_ONLY
from runtime.photo.tiff import Page, write_tiff
from runtime.photo.xmp import without_parts
from runtime.pixels import eight_bit

_JPEG_BLOCK = LONGEST_BODY - len(b"http://ns.adobe.com/xap/1.0/\0")
_PNG_HEADER = 33  # bytes: the signature and the IHDR chunk
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_INCH = 2
# Compared with the defaults (6 and 4): less than half the time, files larger by at most a tenth.
_PNG_EFFORT = 3
_WEBP_EFFORT = 2


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Raise PhotoError if a photo cannot be written to `path`; call it before the work starts.

    overwrite  whether an existing file may be replaced
    """
    if path.suffix.lower() not in _WRITERS and not path.is_dir():
        raise PhotoError(
            f"the output {one_line(path)} has no known suffix: end it in one of {' '.join(sorted(_WRITERS))}"
        )
    check_place(path, overwrite=overwrite)


def check_place(path: Path, *, overwrite: bool) -> None:
    """Raise PhotoError if no file can be written to `path`, whatever its suffix; see `check_output`."""
    name, folder = one_line(path), path.parent
    if path.is_dir():
        raise PhotoError(f"the output {name} is a folder: give a file in it")
    if not folder.is_dir():
        raise PhotoError(f"the output folder {one_line(folder)} does not exist: create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PhotoError(f"the output folder {one_line(folder)} is not writable: choose another one")
    if not path.exists():
        return
    if not path.is_file():
        raise PhotoError(f"the output {name} is a pipe or a device: give a file")
    if not overwrite:
        raise PhotoError(f"the output {name} exists: name another file, or allow it with --overwrite")


def write_photo(path: str | Path, photo: Photo, *, overwrite: bool = False) -> None:
    """Write `photo` as JPEG, PNG, WebP, TIFF or BMP, depending on the suffix of `path`.

    PNG and TIFF store 16 bits; other formats round to 8. JPEG and BMP store no alpha, so the photo is
    composited on white. A JPEG that came from a JPEG keeps its quantisation; other JPEGs and lossy WebPs use
    quality 95. Colours, EXIF, XMP, captions and resolution are written if the format allows; see `left_out`.
    If the photo has `content` in the format of `path`, that is copied byte for byte. Raises PhotoError and
    leaves `path` unchanged on failure.
    """
    path = Path(path)
    if is_copied(photo, path):
        check_place(path, overwrite=overwrite)
    else:
        check_output(path, overwrite=overwrite)
    with write_atomically(path) as file:
        _encode(file, photo, path)


def encode_photo(photo: Photo, suffix: str) -> bytes:
    """Return the bytes that `write_photo` would write to a file with this suffix.

    suffix  `.jpg`, `.png`, `.webp`, `.tif`, `.bmp`, or another of OUTPUT_SUFFIXES; the dot is optional

    Raises PhotoError.
    """
    path = Path(f"photo.{suffix.lower().removeprefix('.')}")
    if path.suffix not in _WRITERS:
        known = " ".join(sorted(_WRITERS))
        raise PhotoError(f"no photo is written as {one_line(repr(suffix))}: give one of {known}")
    file = io.BytesIO()
    _encode(file, photo, path)
    return file.getvalue()


def encode_as(photo: Photo, name: str) -> bytes:
    """Return the bytes that `write_photo` would write to a file of that name. Raises PhotoError."""
    path = Path(name)
    if not is_copied(photo, path):
        return encode_photo(photo, path.suffix)
    assert photo.content is not None
    return photo.content


def encode_whole(photo: Photo) -> tuple[bytes, str]:
    """Return the bytes of a photo, and the suffix of their format: its own, or else JPEG or PNG.

    A photo with `content` is copied byte for byte. Raises PhotoError.
    """
    own = photo.source.format or ""
    if photo.content is not None:
        return photo.content, _COPIED.get(own, _SUFFIXES.get(own, ""))
    suffix = _SUFFIXES.get(own) or (".jpg" if own in LOSSY_READ_ONLY else ".png")
    return encode_photo(photo, suffix), suffix


def write_draft(path: Path, photo: Photo, *, prefix: str) -> Path:
    """Write a temporary file beside `path`, as `write_photo` would write `path`; return the file.

    It is complete and flushed to disk; renaming it delivers the photo. Its name begins with a dot and the
    prefix. Raises PhotoError and leaves no file behind on failure.
    """
    draft = draft_beside(path, prefix)
    try:
        with write_new(draft) as file:
            _encode(file, photo, path)
    except OSError as error:
        raise PhotoError(f"cannot write {one_line(path)}: {cause_of(error)}") from error
    return draft


def is_copied(photo: Photo, path: Path) -> bool:
    """Return whether writing to `path` copies the photo's own bytes."""
    if photo.content is None:
        return False
    suffix, original = path.suffix.lower(), photo.source.original
    same_name = original is not None and original.suffix == suffix
    return same_name or photo.source.format == _FORMATS.get(suffix)


def left_out(photo: Photo, path: Path) -> list[str]:
    """Return the parts of a photo's file that the format of `path` cannot hold, in a few words each."""
    if is_copied(photo, path):
        return []
    source, suffix = photo.source, path.suffix.lower()
    _, texts = apart(source.texts)
    out = ["transparency"] * (_is_over_white(photo) and _FORMATS[suffix] in ("JPEG", "BMP"))
    if suffix == ".bmp":
        named = {"EXIF": source.exif, "XMP": source.xmp, "captions": source.captions or source.texts}
        out += ["the colour profile"] * bool(profile_of(source)) + [name for name in named if named[name]]
    elif _FORMATS[suffix] == "JPEG":
        out += ["EXIF"] * (len(_jpeg_exif(source) or b"") > _JPEG_BLOCK)
        out += ["XMP"] * (len(source.xmp or b"") > _JPEG_BLOCK)
        out += [f"the text {one_line(text.keyword)!r}" for text in texts if not fits_jpeg(text)]
    elif suffix != ".png" and not exif_with(source.exif, source.texts)[1]:
        out += ["comments and texts"]
    if source.extended_xmp and _FORMATS[suffix] != "JPEG":
        out += ["the second part of XMP"]
    if photo.pages and _FORMATS[suffix] != "TIFF":
        out += [f"pages 2 to {1 + len(photo.pages)}"]
    return out


def _is_over_white(photo: Photo) -> bool:
    alpha = photo.alpha
    return alpha is not None and bool((alpha < np.iinfo(alpha.dtype).max).any())


def _encode(file: BinaryIO, photo: Photo, path: Path) -> None:
    if is_copied(photo, path) and photo.content is not None:
        file.write(photo.content)
        return
    try:
        suffix = path.suffix.lower()
        if photo.seal is None:
            _WRITERS[suffix](file, photo)
            return
        unsealed = io.BytesIO()
        _WRITERS[suffix](unsealed, photo)
        file.write(photo.seal(unsealed.getvalue(), suffix))
    except GpenEdgeError:
        raise
    except Exception as error:  # Pillow raises many kinds, such as ValueError for a side that is too long
        raise PhotoError(f"cannot write {one_line(path)}: {cause_of(error)}") from error


def _write_jpeg(file: BinaryIO, photo: Photo) -> None:
    # An EXIF or XMP block has at most 64 KB here; a longer one comes from another format.
    source = photo.source
    metadata = _metadata(photo)
    metadata["exif"] = _jpeg_exif(source) or b""
    metadata["xmp"] = _xmp(source, extended=True)
    for block in ("exif", "xmp"):
        if len(metadata[block]) > _JPEG_BLOCK:
            metadata[block] = b""
    _, texts = apart(source.texts)
    continued = b"".join(segment(APP1, body) for body in source.extended_xmp if metadata["xmp"])
    metadata["extra"] = continued + jpeg_segments_of(texts, source.captions)
    jpeg = source.jpeg
    coding: dict[str, Any] = {"quality": 95, "subsampling": 0}
    if jpeg is not None:
        coding = {"qtables": jpeg.tables, "subsampling": jpeg.subsampling, "progressive": jpeg.progressive}
    _save(file, _over_white(photo), "JPEG", **coding, **metadata)


def _jpeg_exif(source: PhotoSource) -> bytes | None:
    return exif_with(source.exif, apart(source.texts)[0])[0]


def _write_png(file: BinaryIO, photo: Photo) -> None:
    source, metadata = photo.source, _metadata(photo)
    if source.format == "PNG":  # the other colour chunks are written as they were
        metadata["icc_profile"] = source.icc
    xmp = _xmp(source)
    chunks = source.png_colours + png_chunks_of(source.texts, source.captions)
    chunks += png_chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + xmp) if xmp else b""
    samples = _samples(photo)
    if samples.dtype == np.uint8:
        encoded = io.BytesIO()
        _image(samples).save(encoded, "PNG", compress_level=_PNG_EFFORT, **metadata)
        picture = encoded.getbuffer()
        file.write(picture[:_PNG_HEADER])
        file.write(chunks)
        file.write(picture[_PNG_HEADER:])
        return
    # Pillow writes the other metadata chunks for a one-pixel image: all between its header and its samples.
    pixel = io.BytesIO()
    Image.new("RGB", (1, 1)).save(pixel, "PNG", **metadata)
    made = pixel.getvalue()
    write_deep_png(file, samples, chunks + made[_PNG_HEADER : made.rindex(b"IDAT") - 4])


def _write_webp(file: BinaryIO, photo: Photo) -> None:
    source, metadata = photo.source, _metadata(photo)
    if source.grey:  # WebP has no grey mode, and a grey profile would not fit RGB
        metadata["icc_profile"] = _rgb_profile(source)
    exif, _ = exif_with(source.exif, source.texts, iptc_of(source.captions))
    metadata |= {"exif": exif or b"", "xmp": _xmp(source)}
    coding: dict[str, Any] = {"lossless": True} if source.lossless else {"quality": 95}
    _save(
        file,
        _image(_samples(_eight_bit(photo))),
        "WEBP",
        method=_WEBP_EFFORT,
        exact=True,
        **coding,
        **metadata,
    )


def _write_tiff(file: BinaryIO, photo: Photo) -> None:
    write_tiff(file, [_page(each) for each in (photo, *photo.pages)])


def _page(photo: Photo) -> Page:
    source = photo.source
    icc = profile_of(source)
    if source.grey and photo.alpha is not None and photo.pixels.dtype == np.uint16:
        icc = _rgb_profile(source)
        source = replace(source, grey=False)  # hardly any reader supports 16-bit grey with alpha
    directory = ImageFileDirectory_v2()
    exif = Image.Exif()
    exif.load(exif_with(source.exif, source.texts)[0] or b"")
    for tag in exif:
        directory[tag] = exif.get_ifd(tag) if tag in (IFD.Exif, IFD.GPSInfo) else exif[tag]
    blocks = {XMP: _xmp(source), IPTC_TAG: iptc_of(source.captions), RESOURCES_TAG: source.captions}
    for tag, block in blocks.items():
        if block:
            directory.tagtype[tag] = UNDEFINED if tag == IPTC_TAG else BYTE
            directory[tag] = block
    if icc:
        directory[ICCPROFILE] = icc
    if source.dpi:
        directory[X_RESOLUTION], directory[Y_RESOLUTION] = source.dpi
        directory[RESOLUTION_UNIT] = _INCH
    return Page(_samples(replace(photo, source=source)), directory, compressed=source.compressed)


def _xmp(source: PhotoSource, *, extended: bool = False) -> bytes:
    """Return the XMP packet to write, without references to its second part if that is not written."""
    if source.xmp and source.extended_xmp and not extended:
        return without_parts(source.xmp, extended=False)[0] or b""
    return source.xmp or b""


def _rgb_profile(source: PhotoSource) -> bytes | None:
    """Return an RGB profile for a grey photo that is written as RGB."""
    colours = source.colours or (of_grey_profile(source.icc) if source.icc else None)
    return icc_profile(colours) if colours else None


def _write_bmp(file: BinaryIO, photo: Photo) -> None:
    _save(file, _over_white(photo), "BMP", **_metadata(photo))


def _save(file: BinaryIO, image: Image.Image, format_name: str, **options: Any) -> None:
    # Encoded in memory, because Pillow would not tell a full disk from other write failures.
    encoded = io.BytesIO()
    image.save(encoded, format_name, **options)
    file.write(encoded.getbuffer())


def _metadata(photo: Photo) -> dict[str, Any]:
    source = photo.source
    named = {"icc_profile": profile_of(source), "exif": source.exif, "dpi": source.dpi}
    return {name: value for name, value in named.items() if value}


def _samples(photo: Photo) -> Samples:
    # H×W×C: grey, grey + alpha, RGB, RGB + alpha. Three equal channels give back the exact grey.
    colours = photo.pixels
    if photo.source.grey:
        colours = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    if photo.alpha is None:
        return np.ascontiguousarray(colours)
    return np.concatenate([colours, photo.alpha[..., np.newaxis]], axis=2)


def _eight_bit(photo: Photo) -> Photo:
    if photo.pixels.dtype == np.uint8:
        return photo
    alpha = None if photo.alpha is None else eight_bit(photo.alpha)
    return replace(photo, pixels=eight_bit(photo.pixels), alpha=alpha)


def _image(samples: Samples) -> Image.Image:
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def _over_white(photo: Photo) -> Image.Image:
    photo = _eight_bit(photo)
    image = _image(_samples(replace(photo, alpha=None)))
    if photo.alpha is None:
        return image
    paper = Image.new(image.mode, image.size, "white")
    paper.paste(image, mask=Image.fromarray(photo.alpha))
    return paper


_WRITERS: dict[str, Callable[[BinaryIO, Photo], None]] = {
    ".bmp": _write_bmp,
    ".jfif": _write_jpeg,
    ".jpe": _write_jpeg,
    ".jpeg": _write_jpeg,
    ".jpg": _write_jpeg,
    ".png": _write_png,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".webp": _write_webp,
}

_FORMATS = dict.fromkeys((".jfif", ".jpe", ".jpeg", ".jpg"), "JPEG")
_FORMATS |= {".bmp": "BMP", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}

_SUFFIXES = {"BMP": ".bmp", "JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp"}
_COPIED = {"GIF": ".gif"} | {name: suffixes[0] for name, suffixes in LOSSY_READ_ONLY.items()}

OUTPUT_SUFFIXES = frozenset(_WRITERS)
"""Lower-case suffixes that a photo can be written with."""
