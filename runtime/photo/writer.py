"""Write a photo, whole or not at all: in the format its name asks for, and as its source was written."""

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
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import (
    ICCPROFILE,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    XMP,
    Y_RESOLUTION,
    ImageFileDirectory_v2,
)
from PIL.TiffTags import BYTE

from engines.errors import PhotoError
from runtime.atomic import draft_beside, write_atomically, write_new
from runtime.one_line import cause_of, one_line
from runtime.photo.deep_png import write_deep_png
from runtime.photo.reader import Photo
from runtime.photo.samples import Samples
from runtime.photo.tiff import write_tiff

_JPEG_BLOCK = 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")
_PNG_HEADER = 33  # bytes: the signature and the IHDR chunk
_INCH = 2
# Against the defaults (6 and 4), a photo is written in less than half the time and grows by a tenth at most.
_PNG_EFFORT = 3
_WEBP_EFFORT = 2


def check_output(path: Path, *, source: Path | None = None, overwrite: bool = False) -> None:
    """Raise PhotoError if a photo cannot be written to `path`: ask before minutes of work, not after.

    source     the photo that is read; it may be the output only with `overwrite`
    overwrite  whether an existing file may be replaced
    """
    name, folder = one_line(path), path.parent
    if path.is_dir():
        raise PhotoError(f"the output {name} is a folder: name a file in it")
    if path.suffix.lower() not in _WRITERS:
        raise PhotoError(
            f"the output {name} has no known suffix: end it in one of {' '.join(sorted(_WRITERS))}"
        )
    if not folder.is_dir():
        raise PhotoError(f"the output folder {one_line(folder)} does not exist: make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PhotoError(f"the output folder {one_line(folder)} may not be written to: choose another one")
    if not path.exists():
        return
    if not path.is_file():
        raise PhotoError(f"the output {name} is a pipe or a device: name a file")
    if overwrite:
        return
    if source is not None and source.exists() and path.samefile(source):
        raise PhotoError(
            f"the output {name} is the photo itself: name another file, or allow it with --overwrite"
        )
    raise PhotoError(f"the output {name} exists: name another file, or allow it with --overwrite")


def write_photo(path: Path, photo: Photo, *, overwrite: bool = False) -> None:
    """Write `photo` as JPEG, PNG, WebP, TIFF or BMP, by the suffix of `path`.

    PNG and TIFF hold 16 bits; elsewhere they are rounded to 8. JPEG and BMP hold no alpha: there the photo is
    laid on white. A JPEG that came from a JPEG keeps its quantisation; another one, and a lossy WebP, has
    quality 95. ICC profile, EXIF, XMP and resolution go along where the format has a place for them. Raises
    PhotoError, and then leaves `path` as it was.
    """
    check_output(path, overwrite=overwrite)
    with write_atomically(path) as file:
        _encode(file, photo, path)


def write_draft(path: Path, photo: Photo, *, prefix: str = "") -> Path:
    """Write what shall become `path` to a temporary file beside it, as `write_photo` would; return that file.

    It is whole and on the disk; a rename delivers it. Its name begins with a dot and the prefix. Raises
    PhotoError, and then leaves nothing.
    """
    draft = draft_beside(path, prefix)
    try:
        with write_new(draft) as file:
            _encode(file, photo, path)
    except OSError as error:
        raise PhotoError(f"cannot write {one_line(path)}: {cause_of(error)}") from error
    return draft


def _encode(file: BinaryIO, photo: Photo, path: Path) -> None:
    try:
        _WRITERS[path.suffix.lower()](file, photo)
    except Exception as error:  # Pillow raises many kinds, such as ValueError for a side that is too long
        raise PhotoError(f"cannot write {one_line(path)}: {cause_of(error)}") from error


def _write_jpeg(file: BinaryIO, photo: Photo) -> None:
    # A block of EXIF or XMP has at most 64 KB here; a longer one comes from another format.
    metadata = _metadata(photo)
    for block in ("exif", "xmp"):
        if len(metadata.get(block, b"")) > _JPEG_BLOCK:
            del metadata[block]
    jpeg = photo.source.jpeg
    coding: dict[str, Any] = {"quality": 95, "subsampling": 0}
    if jpeg is not None:
        coding = {"qtables": jpeg.tables, "subsampling": jpeg.subsampling, "progressive": jpeg.progressive}
    _save(file, _over_white(photo), "JPEG", **coding, **metadata)


def _write_png(file: BinaryIO, photo: Photo) -> None:
    metadata = _metadata(photo)
    if "xmp" in metadata:
        metadata["pnginfo"] = PngInfo()
        metadata["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata.pop("xmp").decode())
    samples = _samples(photo)
    if samples.dtype == np.uint8:
        _save(file, _image(samples), "PNG", compress_level=_PNG_EFFORT, **metadata)
        return
    # Pillow makes the metadata chunks, of a one-pixel picture: all between its header and its samples.
    pixel = io.BytesIO()
    _save(pixel, Image.new("RGB", (1, 1)), "PNG", **metadata)
    chunks = pixel.getvalue()
    write_deep_png(file, samples, chunks[_PNG_HEADER : chunks.rindex(b"IDAT") - 4])


def _write_webp(file: BinaryIO, photo: Photo) -> None:
    metadata = _metadata(photo)
    if photo.source.grey:
        metadata.pop("icc_profile", None)  # WebP knows no grey, and a grey profile would not fit RGB
    coding: dict[str, Any] = {"lossless": True} if photo.source.lossless else {"quality": 95}
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
    source = photo.source
    if source.grey and photo.alpha is not None and photo.pixels.dtype == np.uint16:
        source = replace(source, grey=False, icc=None)  # hardly any reader takes 16-bit grey with alpha
    directory = ImageFileDirectory_v2()
    exif = Image.Exif()
    exif.load(source.exif or b"")
    for tag in exif:
        directory[tag] = exif.get_ifd(tag) if tag in (IFD.Exif, IFD.GPSInfo) else exif[tag]
    if source.icc:
        directory[ICCPROFILE] = source.icc
    if source.xmp:
        directory.tagtype[XMP] = BYTE
        directory[XMP] = source.xmp
    if source.dpi:
        directory[X_RESOLUTION], directory[Y_RESOLUTION] = source.dpi
        directory[RESOLUTION_UNIT] = _INCH
    write_tiff(file, _samples(replace(photo, source=source)), directory, compressed=source.compressed)


def _write_bmp(file: BinaryIO, photo: Photo) -> None:
    _save(file, _over_white(photo), "BMP", **_metadata(photo))


def _save(file: BinaryIO, image: Image.Image, format_name: str, **options: Any) -> None:
    # By way of memory: writing to the file itself, Pillow would not tell a full disk from other failures.
    encoded = io.BytesIO()
    image.save(encoded, format_name, **options)
    file.write(encoded.getbuffer())


def _metadata(photo: Photo) -> dict[str, Any]:
    source = photo.source
    named = {"icc_profile": source.icc, "exif": source.exif, "xmp": source.xmp, "dpi": source.dpi}
    return {name: value for name, value in named.items() if value}


def _samples(photo: Photo) -> Samples:
    # H×W×C: grey, grey + alpha, RGB, RGB + alpha. From three equal channels, grey comes back exactly.
    colours = photo.pixels
    if photo.source.grey:
        colours = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    if photo.alpha is None:
        return np.ascontiguousarray(colours)
    return np.concatenate([colours, photo.alpha[..., np.newaxis]], axis=2)


def _eight_bit(photo: Photo) -> Photo:
    if photo.pixels.dtype == np.uint8:
        return photo
    pixels = cv2.convertScaleAbs(photo.pixels, alpha=1 / 257)  # 65535 = 255·257; rounded, not cut
    alpha = None if photo.alpha is None else cv2.convertScaleAbs(photo.alpha, alpha=1 / 257)
    return replace(photo, pixels=pixels, alpha=alpha)


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

OUTPUT_SUFFIXES = frozenset(_WRITERS)
"""Suffixes, in lower case, that a photo can be written under."""
