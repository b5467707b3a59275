"""Read any common photo file as upright RGB pixels, with the properties needed to write it back alike."""

import io
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from PIL import features
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from base.errors import PhotoError
from base.text import cause_of, one_line, rounded
from runtime.photo.bombs import MOST_SCANS, WithinFile, has_endless_scans, webp_size
from runtime.photo.damaged import accepting_damage, has_its_end, with_its_end
from runtime.photo.original import Original, OriginalBytes, signature_of
from runtime.photo.samples import Samples, decode_samples, turn_upright
from runtime.photo.source import PhotoSource, source_of

# Recognised by signature. Pillow's classes are called directly, because `Image.open` enforces one global size
# limit; the caller's limit replaces it here. A phone's MPO is read as its first JPEG.
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
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
"""Brands of HEVC images and sequences, single and layered (ISO/IEC 23008-12, annex B)."""
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"mif1", b"msf1", b"mif2"})
"""Brands of the container; its coding may be another one, which the decoder refuses."""
_PARTLY_READABLE = (JpegImageFile, PngImageFile, TiffImageFile, BmpImageFile, GifImageFile)
"""Formats of which a truncated file can be decoded in part."""
_MOST_PAGES = 500
_REDUCED, _MASK = 1, 4
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _OLD_REDUCED = 254, 255, 2

_BYTES_A_PIXEL = 8
"""Of the largest uncompressed photo: four channels of 16 bits."""
_MEMORY_A_PIXEL = 32
"""Peak bytes per pixel while decoding, needed by 16 bits with alpha and by WebP."""
_OTHER_BYTES = 64_000_000
"""Bytes for metadata, thumbnails and the further images of an MPO."""


Seal: TypeAlias = Callable[[bytes, str], bytes]
"""Returns a written file's bytes, signed; its arguments are the bytes and the suffix with its dot."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo in memory; use `dataclasses.replace` to exchange its pixels for restored ones."""

    pixels: Samples
    """H×W×3 uint8 or uint16 RGB in the photo's own colour space, upright, contiguous, writable."""
    alpha: Samples | None
    """H×W opacity, same dtype, not premultiplied; None for an opaque photo."""
    source: PhotoSource
    """Properties of the file, so that the result is written in the same way."""
    pages: tuple["Photo", ...] = ()
    """Further pages of a TIFF."""
    content: bytes | None = None
    """The file's own bytes, written instead of the pixels if nothing was changed."""
    seal: Seal | None = None
    """Signs the written file; None signs nothing. It is not used for `content`."""

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
            raise PhotoError(f"pixels are {pixels.shape} {pixels.dtype}: pass H×W×3 RGB as uint8 or uint16")
        if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
            raise PhotoError(
                f"alpha is {alpha.shape} {alpha.dtype}: pass H×W like the pixels, {pixels.dtype}"
            )


def read_photo(
    photo: str | Path | bytes | BinaryIO, *, max_megapixels: float = 100, accept_damaged: bool = False
) -> Photo:
    """Read the first image of a JPEG (or MPO), PNG, WebP, TIFF, BMP, GIF, AVIF or (with pillow-heif) HEIC.

    photo           a path, the bytes of a file, or a file that is open for reading bytes
    max_megapixels  limit for all pages together
    accept_damaged  decode as much as possible of a truncated or damaged file and set `source.damaged`

    Further pages of a TIFF are in `pages`. A JPEG that lacks only its end marker counts as complete.

    16-bit grey and RGB keep their 16 bits; HEIC and AVIF are read with 8. CMYK and Lab are converted to
    sRGB; other colour spaces are kept with their ICC profile. Metadata that is too broken to be written back
    is dropped.

    Raises PhotoError for anything that is not a complete photo of at most `max_megapixels`: oversized files
    are refused unopened, and dimensions are checked before decoding. Uses at most `allowed_bytes` of memory.
    (Pillow itself refuses WebP above 178 megapixels, whatever the limit here.)
    """
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata, which is dropped
    if isinstance(photo, (str, Path)):
        name = one_line(photo)
        with _errors_of(name):
            return _read_path(Path(photo), name, max_megapixels, accept_damaged)
    name = "the photo"
    with _errors_of(name):
        return _read_bytes(photo, name, max_megapixels, accept_damaged)


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Turn any exception into a PhotoError with the photo's name."""
    try:
        yield
    except PhotoError:
        raise
    except FileNotFoundError as error:
        raise PhotoError(f"{name} does not exist: check its name and folder") from error
    except Exception as error:  # on hostile bytes Pillow's parsers may raise anything
        if isinstance(error, OSError) and error.errno:
            raise PhotoError(f"cannot read {name}: {cause_of(error)}") from error
        if isinstance(error, MemoryError):
            raise PhotoError(f"there is not enough memory to read {name}: end other programs") from error
        raise PhotoError(
            f"{name} is damaged, cut short or unusual ({cause_of(error)}): copy it again from its source, or "
            "save it with another program"
        ) from error


def _read_path(path: Path, name: str, max_megapixels: float, accept_damaged: bool) -> Photo:
    _check_is_file(path, name, max_megapixels)
    with WithinFile(path) as file:
        original = Original(path, signature_of(file))
        photo = _read_as_far_as_allowed(file, name, max_megapixels, accept_damaged)
    return replace(photo, source=replace(photo.source, original=original))


def _read_bytes(source: bytes | BinaryIO, name: str, max_megapixels: float, accept_damaged: bool) -> Photo:
    most = int(largest_file(max_megapixels))
    data = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else source.read(most + 1)
    if not isinstance(data, bytes):
        raise PhotoError(f"{name} was opened as text: open it with mode 'rb'")
    _check_length(len(data), name, max_megapixels)
    photo = _read_as_far_as_allowed(io.BytesIO(data), name, max_megapixels, accept_damaged)
    return replace(photo, source=replace(photo.source, original=OriginalBytes(data)))


def _read_as_far_as_allowed(file: BinaryIO, name: str, max_megapixels: float, accept_damaged: bool) -> Photo:
    """Read a photo, even a damaged one if that is allowed. May raise any of Pillow's exceptions."""
    try:
        return _read(file, name, max_megapixels)
    except PhotoError:
        raise
    except Exception as error:
        system_refused = isinstance(error, OSError) and error.errno
        if system_refused or isinstance(error, MemoryError):
            raise
        if accept_damaged:
            with accepting_damage():
                return _read(file, name, max_megapixels, damaged=True)
        if isinstance(error, OSError) and isinstance(_open_header(file, name), _PARTLY_READABLE):
            raise PhotoError(
                f"{name} is damaged or cut short: {cause_of(error)}: copy it again from its source, "
                "or restore what can be read with runtime.restore --accept-damaged"
            ) from error
        raise


def allowed_bytes(max_megapixels: float) -> int:
    """Return the most memory that reading needs, in addition to twice the size of the file."""
    return int(max_megapixels * 1e6 * _MEMORY_A_PIXEL + _OTHER_BYTES)


def largest_file(max_megapixels: float) -> float:
    """Return the largest plausible size of a photo file in bytes; a larger one is refused unopened."""
    return max_megapixels * 1e6 * _BYTES_A_PIXEL + _OTHER_BYTES


def _check_is_file(path: Path, name: str, max_megapixels: float) -> None:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PhotoError(f"{name} is a folder: give a photo in it")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError(f"{name} is a pipe or a device: give a photo file")
    _check_length(status.st_size, name, max_megapixels)


def _check_length(length: int, name: str, max_megapixels: float) -> None:
    """Raise PhotoError if a file of this many bytes is empty or too large for a photo."""
    if length == 0:
        raise PhotoError(f"{name} is empty: copy it again from its source")
    most = largest_file(max_megapixels)
    if length > most:
        raise PhotoError(
            f"{name} has {rounded(length / 1e6, 4)} megabytes, more than a photo of "
            f"{max_megapixels:g} megapixels can have ({rounded(most / 1e6, 4)}): raise --max-megapixels"
        )


def _read(file: BinaryIO, name: str, max_megapixels: float, *, damaged: bool = False) -> Photo:
    file.seek(0)
    if file.read(4) == b"RIFF":
        file.seek(0)
        _check_size(webp_size(file.read(30)) or (0, 0), name, max_megapixels)
    image = _open_header(file, name)
    _check_size(image.size, name, max_megapixels)
    if isinstance(image, JpegImageFile) and has_endless_scans(file):
        raise PhotoError(
            f"{name} is drawn in more than {MOST_SCANS} scans: save it again with another program"
        )
    if isinstance(image, TiffImageFile):
        first, *others = _read_pages(image, file, name, max_megapixels, damaged)
        return replace(first, pages=tuple(others))
    return _read_picture(image, file, lambda: _open_header(file, name), damaged)


def _read_picture(
    image: ImageFile, file: BinaryIO, reopen: Callable[[], ImageFile], damaged: bool, *, last: bool = True
) -> Photo:
    """Decode an image, and collect what is kept of its file; the last opened image is closed."""
    if isinstance(image, JpegImageFile) and not damaged:
        image = _with_its_end(image, file)
    samples = decode_samples(image, reopen)
    source = source_of(image, file, grey=samples.shape[2] < 3)
    if last:
        image.close()  # frees the second copy of the pixels, not the file
    pixels, alpha = _split_alpha(turn_upright(samples, source.orientation))
    return Photo(pixels, alpha, replace(source, damaged=damaged))


def _with_its_end(image: JpegImageFile, file: BinaryIO) -> JpegImageFile:
    """Return an image that can be decoded to its end. Raises OSError for a truncated one."""
    file.seek(0)
    content = file.read()
    file.seek(0)
    if has_its_end(content):
        return image
    whole = with_its_end(content)
    if whole is None:
        raise OSError("the file ends in the middle of its picture")
    return JpegImageFile(io.BytesIO(whole))


def _read_pages(
    image: TiffImageFile, file: BinaryIO, name: str, max_megapixels: float, damaged: bool
) -> Iterator[Photo]:
    """Yield the pages of a TIFF without reduced copies and masks."""
    numbers = []
    pixels = 0
    for number in range(min(image.n_frames, _MOST_PAGES + 1)):
        image.seek(number)
        kind, old_kind = (image.tag_v2.get(tag, 0) for tag in (_NEW_SUBFILE_TYPE, _SUBFILE_TYPE))
        if number and (kind & (_REDUCED | _MASK) or old_kind == _OLD_REDUCED):
            continue
        numbers.append(number)
        pixels += image.width * image.height
        if len(numbers) > 1:
            _check_pages(len(numbers), pixels, name, max_megapixels)
    again: ImageFile | None = None

    def reopened(number: int) -> ImageFile:
        nonlocal again
        again = again or _open_header(file, name)
        again.seek(number)
        return again

    for number in numbers:
        if image.tell() != number:
            image.info = {}  # of the previous page
            image.seek(number)
        last = number == numbers[-1]
        yield _read_picture(image, file, partial(reopened, number), damaged, last=last)


def _check_pages(pages: int, pixels: int, name: str, max_megapixels: float) -> None:
    if pages > _MOST_PAGES:
        raise PhotoError(f"{name} has more than {_MOST_PAGES} pages: save them in several files")
    if pixels > max_megapixels * 1e6:
        raise PhotoError(
            f"the first {pages} pages of {name} have {rounded(pixels / 1e6, 4)} megapixels together, "
            f"more than the {max_megapixels:g} allowed: raise --max-megapixels"
        )


def _check_size(size: tuple[int, int], name: str, max_megapixels: float) -> None:
    width, height = size
    if width * height > max_megapixels * 1e6:
        raise PhotoError(
            f"{name} has {rounded(width * height / 1e6, 4)} megapixels ({width}×{height}), "
            f"more than the {max_megapixels:g} allowed: raise --max-megapixels"
        )


def _open_header(file: BinaryIO, name: str) -> ImageFile:
    file.seek(0)
    start = file.read(256)
    file.seek(0)
    for signature, plugin in _FORMATS:
        if start.startswith(signature):
            return plugin(file)
    if (container := _container(start)) is not None:
        return container(file, name)
    raise PhotoError(
        f"{name} is not a JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC or AVIF picture: save it as one of these"
    )


def _container(start: bytes) -> Callable[[BinaryIO, str], ImageFile] | None:
    """Return what opens a HEIC or AVIF, as its main brand says, or the compatible ones in its first box."""
    if start[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(start[:4], "big"), len(start))
    major, compatible = start[8:12], {start[at : at + 4] for at in range(16, size - 3, 4)}
    for brands in ({major}, compatible):
        for own, opened in ((_HEIC_BRANDS, _open_heif), (_AVIF_BRANDS, _open_avif)):
            if brands & own:
                return opened
    return _open_heif if major in _HEIF_BRANDS else None


def _open_heif(file: BinaryIO, name: str) -> ImageFile:
    """Open a phone's HEIC photo; the decoder turns it upright and updates its EXIF orientation."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise PhotoError(f"{name} is a HEIC picture: pip install pillow-heif, or save it as JPEG") from error
    image: ImageFile = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


def _open_avif(file: BinaryIO, name: str) -> ImageFile:
    """Open an AVIF; the decoder gives the turn that its boxes ask for as EXIF orientation."""
    if not features.check("avif"):
        raise PhotoError(
            f"{name} is an AVIF picture, which this Pillow cannot read: pip install --upgrade pillow, "
            "or save it as JPEG"
        )
    from PIL.AvifImagePlugin import AvifImageFile

    return AvifImageFile(file)


def _split_alpha(samples: Samples) -> tuple[Samples, Samples | None]:
    has_alpha = samples.shape[2] in (2, 4)
    colours = samples[..., :-1] if has_alpha else samples
    alpha = np.ascontiguousarray(samples[..., -1]) if has_alpha else None
    if colours.shape[2] == 1:
        return np.repeat(colours, 3, axis=2), alpha
    return np.ascontiguousarray(colours), alpha
