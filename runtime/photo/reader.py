"""Read a photo: any common file in, upright RGB pixels out, with what is needed to write it back alike."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from engines.errors import PhotoError
from runtime.one_line import cause_of, one_line
from runtime.photo.bombs import MOST_SCANS, has_endless_scans, webp_size
from runtime.photo.samples import Samples, decode_samples, turn_upright
from runtime.photo.source import PhotoSource, orientation_of, source_of

SUPPORTED_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"}
    | {".heic", ".heif"}
)
"""Suffixes, in lower case, of files that a folder of photos is searched for. Reading goes by content."""

# By signature. Pillow's classes are called directly, because `Image.open` compares every size with one
# process-wide limit; the caller's own limit replaces it here. A phone's MPO is read as its first JPEG.
_FORMATS: tuple[tuple[bytes, Callable[[BinaryIO], ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"RIFF", WebPImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
    (b"BM", BmpImageFile),
    (b"GIF8", GifImageFile),
)
_HEIF = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"))
"""What follows the first four bytes. Phones write `heic`; `mif1` may hold another coding: refused."""

_BYTES_A_PIXEL = 8
"""Of the largest that is read raw: four channels of 16 bits."""
_MEMORY_A_PIXEL = 32
"""Bytes while it is decoded: the most is taken by 16 bits with alpha, and by WebP."""
_OTHER_BYTES = 64_000_000
"""For metadata, thumbnails and the further pictures of an MPO."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo in memory; `dataclasses.replace` puts restored pixels in the place of the ones read."""

    pixels: Samples
    """H×W×3 uint8 or uint16 RGB in the photo's own colour space, upright, contiguous, writable."""
    alpha: Samples | None
    """H×W opacity, same dtype, not multiplied into the pixels; None for an opaque photo."""
    source: PhotoSource
    """What the file was, so that the result is written alike."""

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
            raise PhotoError(f"pixels are {pixels.shape} {pixels.dtype}: pass H×W×3 RGB as uint8 or uint16")
        if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
            raise PhotoError(
                f"alpha is {alpha.shape} {alpha.dtype}: pass H×W like the pixels, {pixels.dtype}"
            )


def read_photo(path: Path, *, max_megapixels: float = 100) -> Photo:
    """Read the first picture of a JPEG (MPO too), PNG, WebP, TIFF, BMP, GIF or, with pillow-heif, HEIC file.

    16-bit grey and RGB keep their 16 bits; HEIC is read with 8. CMYK and Lab become sRGB; every other colour
    space stays, with its ICC profile. Metadata too broken to be written back is dropped. Raises PhotoError
    for anything that is not one whole photo of at most `max_megapixels`; the size is checked before a pixel
    is decoded, and a file larger than such a photo can be is not opened. It takes no more memory than
    `allowed_bytes`. (Above 178 megapixels Pillow itself refuses WebP, whatever is allowed here.)
    """
    name = one_line(path)
    try:
        _check_is_file(path, name, max_megapixels)
        with path.open("rb") as file:
            return _read(file, name, max_megapixels)
    except PhotoError:
        raise
    except FileNotFoundError as error:
        raise PhotoError(f"{name} does not exist: check its name and folder") from error
    except Exception as error:  # on hostile bytes Pillow's parsers raise whatever they stumble over
        if isinstance(error, OSError) and error.errno:
            raise PhotoError(f"cannot read {name}: {cause_of(error)}") from error
        raise PhotoError(f"{name} is damaged, cut short or unusual: {cause_of(error)}") from error


def allowed_bytes(max_megapixels: float) -> int:
    """Return how much memory reading takes at most, beside twice the file itself."""
    return int(max_megapixels * 1e6 * _MEMORY_A_PIXEL + _OTHER_BYTES)


def largest_file(max_megapixels: float) -> float:
    """Return how many bytes the file of a photo can have; a larger one is refused before it is opened."""
    return max_megapixels * 1e6 * _BYTES_A_PIXEL + _OTHER_BYTES


def _check_is_file(path: Path, name: str, max_megapixels: float) -> None:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PhotoError(f"{name} is a folder: name a photo in it")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError(f"{name} is a pipe or a device: name a photo file")
    if status.st_size == 0:
        raise PhotoError(f"{name} is empty: copy it again from where it came from")
    most = largest_file(max_megapixels)
    if status.st_size > most:
        raise PhotoError(
            f"{name} has {status.st_size / 1e6:.4g} megabytes, more than a photo of "
            f"{max_megapixels:g} megapixels can have ({most / 1e6:.4g}): raise --max-megapixels"
        )


def _read(file: BinaryIO, name: str, max_megapixels: float) -> Photo:
    if file.read(4) == b"RIFF":
        file.seek(0)
        _check_size(webp_size(file.read(30)) or (0, 0), name, max_megapixels)
    image = _open_header(file, name)
    _check_size(image.size, name, max_megapixels)
    if isinstance(image, JpegImageFile) and has_endless_scans(file):
        raise PhotoError(
            f"{name} is drawn in more than {MOST_SCANS} scans: save it anew with another program"
        )
    samples = decode_samples(image, reopen=lambda: _open_header(file, name))
    orientation = orientation_of(image)  # before its EXIF is set to upright
    source = source_of(image, file, grey=samples.shape[2] < 3)
    image.close()  # frees the second copy of the pixels, not the file
    return Photo(*_split_alpha(turn_upright(samples, orientation)), source)


def _check_size(size: tuple[int, int], name: str, max_megapixels: float) -> None:
    width, height = size
    if width * height > max_megapixels * 1e6:
        raise PhotoError(
            f"{name} has {width * height / 1e6:.4g} megapixels ({width}×{height}), "
            f"more than the {max_megapixels:g} allowed: raise --max-megapixels"
        )


def _open_header(file: BinaryIO, name: str) -> ImageFile:
    file.seek(0)
    start = file.read(12)
    file.seek(0)
    for signature, plugin in _FORMATS:
        if start.startswith(signature):
            return plugin(file)
    if start[4:].startswith(_HEIF):
        return _open_heif(file, name)
    raise PhotoError(f"{name} is not a JPEG, PNG, WebP, TIFF, BMP or GIF picture: save it as one of these")


def _open_heif(file: BinaryIO, name: str) -> ImageFile:
    """Open what phones write; its decoder turns it upright, and its EXIF orientation says so."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise PhotoError(f"{name} is a HEIC picture: pip install pillow-heif, or save it as JPEG") from error
    image: ImageFile = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


def _split_alpha(samples: Samples) -> tuple[Samples, Samples | None]:
    has_alpha = samples.shape[2] in (2, 4)
    colours = samples[..., :-1] if has_alpha else samples
    alpha = np.ascontiguousarray(samples[..., -1]) if has_alpha else None
    if colours.shape[2] == 1:
        return np.repeat(colours, 3, axis=2), alpha
    return np.ascontiguousarray(colours), alpha
