"""Convert any image that Pillow opens to an array of grey or RGB samples."""

import io
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    EXTRASAMPLES,
    II,
    MM,
    OPEN_INFO,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    TiffImageFile,
)

from runtime.photo.row_bands import row_bands

Samples: TypeAlias = npt.NDArray[Any]
"""Always uint8 or uint16."""

_NATIVE = "L" if sys.byteorder == "little" else "B"
_GREY = {"1", "L", "LA"}
_WIDE_GREY = {"I;16", "I;16B", "I", "F"}
_WHITE_IS_ZERO = 0
_SEPARATE_PLANES = 2
_PREMULTIPLIED, _UNMULTIPLIED = (1,), (2,)

# Pillow opens 16-bit grey with alpha from PNG, not from TIFF: grey, unsigned, fill order, bits, alpha.
for _extra in (_PREMULTIPLIED, _UNMULTIPLIED):
    OPEN_INFO.setdefault((II, 1, (1,), 1, (16, 16), _extra), ("RGBA", "LA;16L"))
    OPEN_INFO.setdefault((MM, 1, (1,), 1, (16, 16), _extra), ("RGBA", "LA;16B"))


def decode_samples(image: ImageFile, reopen: Callable[[], ImageFile]) -> Samples:
    """Decode to H×W×C uint8 or uint16: grey, grey + alpha, RGB or RGB + alpha for C = 1…4.

    image   opened but not loaded; it is loaded here
    reopen  opens the same file again, because 16-bit colour is decoded twice

    Raises ValueError for samples that cannot be interpreted as a photo; Pillow's exceptions pass through.
    """
    layout = _sixteen_bit_layout(image)
    if layout:
        return _sixteen_bit_colour(image, reopen, layout)
    image.load()
    if image.mode in _WIDE_GREY:
        return _wide_grey(image)
    if image.mode in ("CMYK", "LAB"):
        return _converted(image, _to_srgb(image), 3)
    transparent = image.has_transparency_data
    mode = ("LA" if transparent else "L") if image.mode in _GREY else ("RGBA" if transparent else "RGB")
    return _converted(image, lambda band: band.convert(mode), len(mode))


def turn_upright(samples: Samples, orientation: int) -> Samples:
    """Apply an EXIF orientation (1…8) to H×W×C samples; the result is contiguous; 1 makes no copy."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _converted(image: Image.Image, convert: Callable[[Image.Image], Image.Image], channels: int) -> Samples:
    samples = np.empty((image.height, image.width, channels), np.uint8)
    for rows in row_bands(image.height, image.width):
        band = convert(image.crop((0, rows.start, image.width, rows.stop)))
        samples[rows] = np.asarray(band).reshape(samples[rows].shape)
    return samples


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        return ImageCms.buildTransform(ImageCms.createProfile("LAB"), srgb, "LAB", "RGB").apply
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return ImageCms.buildTransform(profile, srgb, "CMYK", "RGB").apply
    except (KeyError, TypeError, OSError, ImageCms.PyCMSError):  # no profile, or one that does not fit
        return lambda band: band.convert("RGB")


def _wide_grey(image: ImageFile) -> Samples:
    grey = np.asarray(image)
    if image.mode == "F":
        if not (grey.min() >= 0 and grey.max() <= 1):  # written this way to refuse NaN too
            raise ValueError("its floating-point samples are outside 0…1; save it with 8 or 16 bits")
        grey = np.rint(grey * np.float32(65535))
    elif grey.min() < 0 or grey.max() > 65535:
        raise ValueError("its samples do not fit 16 bits; save it with 8 or 16 bits")
    samples: Samples = grey.astype(np.uint16)
    if isinstance(image, TiffImageFile):
        if image.tag_v2.get(BITSPERSAMPLE) == (12,):
            samples = samples << 4 | samples >> 8
        if image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO:
            samples = ~samples
    return _with_transparent_colour(samples[..., np.newaxis], image)


def _sixteen_bit_layout(image: ImageFile) -> str:
    # Pillow's name for the file's layout of a 16-bit colour pixel, such as "RGB;16B"; otherwise "".
    if not isinstance(image, (PngImageFile, TiffImageFile)) or image.mode not in ("RGB", "RGBA"):
        return ""
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PLANAR_CONFIGURATION) == _SEPARATE_PLANES:
        if 16 in image.tag_v2.get(BITSPERSAMPLE, ()):
            raise ValueError("its 16-bit colour planes are stored separately; save it interleaved")
        return ""
    arguments = image.tile[0].args
    layout = str(arguments[0] if isinstance(arguments, tuple) else arguments)
    return layout if ";16" in layout else ""


def _sixteen_bit_colour(image: ImageFile, reopen: Callable[[], ImageFile], layout: str) -> Samples:
    # Pillow keeps the high byte of each sample; with the byte order swapped it keeps the low one.
    channels, order = layout.split(";16")
    order = _NATIVE if order == "N" else order
    if channels == "LA":  # four bytes per pixel: one decoding keeps them all
        pairs = _decoded_as("RGBA", image)
        first, second = pairs[..., ::2], pairs[..., 1::2]
        samples = _joined(first, second) if order == "B" else _joined(second, first)
    else:
        channels = channels.upper()  # for premultiplied RGBa, Pillow would divide each byte separately
        high = _decoded_as(f"{channels};16{order}", image)
        samples = _joined(high, _decoded_as(f"{channels};16{'L' if order == 'B' else 'B'}", reopen()))
    if isinstance(image, TiffImageFile) and image.tag_v2.get(EXTRASAMPLES) == _PREMULTIPLIED:
        _divide_by_alpha(samples)
    return _with_transparent_colour(samples, image)


def _decoded_as(layout: str, image: ImageFile) -> npt.NDArray[np.uint8]:
    image.tile = [
        tile._replace(args=(layout, *tile.args[1:]) if isinstance(tile.args, tuple) else layout)
        for tile in image.tile
    ]
    image.load()
    return np.asarray(image)


def _joined(high: npt.NDArray[np.uint8], low: npt.NDArray[np.uint8]) -> Samples:
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= low
    return samples


def _divide_by_alpha(samples: Samples) -> None:
    for rows in row_bands(*samples.shape[:2]):
        band = samples[rows].astype(np.uint32)
        colours, alpha = band[..., :-1], band[..., -1:]
        samples[rows, :, :-1] = np.minimum((colours * 65535 + alpha // 2) // np.maximum(alpha, 1), 65535)


def _with_transparent_colour(samples: Samples, image: ImageFile) -> Samples:
    # A PNG may declare one colour as transparent (its tRNS chunk).
    colour = image.info.get("transparency")
    if colour is None or samples.shape[2] not in (1, 3):
        return samples
    opaque = (samples != np.asarray(colour, np.uint16)).any(axis=2, keepdims=True)
    return np.concatenate([samples, opaque * np.uint16(65535)], axis=2)
