"""Pictures for the page: small, as JPEG, in the photo's colours and without its metadata."""

import io
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from base.errors import PhotoError
from base.text import cause_of
from runtime.photo.bombs import has_endless_scans
from runtime.photo.reader import Photo, read_photo
from runtime.photo.source import PhotoSource, profile_of
from runtime.pixels import Pixels, eight_bit

SCREEN = 1600
"""The longest side, in pixels, of pictures that are kept for the page."""
_SQUARE = 320
"""The longest side, in pixels, of the square around a face."""
_QUALITY = 88
_MOST_BYTES = 256_000_000
"""Of pictures that are kept so that moving a slider is instant."""

Small = NDArray[np.uint8]
"""H×W×3 RGB."""


@dataclass(frozen=True, eq=False)
class Look:
    """A photo as the page shows it."""

    photo: Small
    """Longest side at most SCREEN."""
    source: PhotoSource
    """For its colours."""
    faces: tuple[Small, ...]
    """A square around each face."""


def small(pixels: Pixels, alpha: NDArray[Any] | None, size: int) -> Small:
    """Return a picture whose longest side is at most `size`, on white where it is transparent.

    pixels  H×W×3 uint8 or uint16 RGB
    alpha   H×W of the same dtype, or None
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, size / max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))

    def fitted(samples: NDArray[Any]) -> NDArray[np.uint8]:
        if samples.shape[1::-1] == shape:
            return eight_bit(samples)
        return eight_bit(cv2.resize(samples, shape, interpolation=cv2.INTER_AREA))

    picture = fitted(pixels)
    if alpha is None:
        return picture
    opacity = fitted(alpha)[..., None].astype(np.float32) / 255
    return np.asarray(picture * opacity + 255 * (1 - opacity) + 0.5, np.uint8)


def between(photo: Small, restored: Small, strength: float) -> Small:
    """Return the picture at a strength: a face moves in a straight line from the photo to its full result."""
    if strength >= 1:
        return restored
    return np.asarray(cv2.addWeighted(photo, 1 - strength, restored, strength, 0), np.uint8)


def squares(photo: Photo, boxes: list[tuple[float, float, float, float]]) -> list[Small]:
    """Return a square around each face of a photo."""
    height, width = photo.pixels.shape[:2]
    found = []
    for x0, y0, x1, y1 in boxes:
        reach = max(x1 - x0, y1 - y0) * 0.7
        left, right = (int(np.clip((x0 + x1) / 2 + way * reach, 0, width - 1)) for way in (-1, 1))
        top, bottom = (int(np.clip((y0 + y1) / 2 + way * reach, 0, height - 1)) for way in (-1, 1))
        part = np.s_[top : bottom + 1, left : right + 1]
        alpha = None if photo.alpha is None else photo.alpha[part]
        found.append(small(photo.pixels[part], alpha, _SQUARE))
    return found


def jpeg(picture: Small, source: PhotoSource) -> bytes:
    """Return a picture as JPEG with the colour profile of the photo that it shows."""
    image = Image.fromarray(picture[..., 0] if source.grey else picture)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, icc_profile=profile_of(source))
    return file.getvalue()


def jpeg_of_file(path: Path, size: int | None) -> bytes:
    """Return a result of ours as JPEG, its longest side at most `size`. Raises OSError."""
    with Image.open(path) as image:
        if size is not None:
            image.draft("RGB", (size, size))
        upright = upright_of(image)
        profile = image.info.get("icc_profile") if image.mode != "CMYK" else None
        if size is not None:
            upright.thumbnail((size, size), Image.Resampling.LANCZOS)
        if upright.mode not in ("RGB", "L"):
            upright = _on_white(upright)
        file = io.BytesIO()
        upright.save(file, "JPEG", quality=_QUALITY, icc_profile=profile)
    return file.getvalue()


def upright_of(image: Image.Image) -> Image.Image:
    """Return a picture upright, and with 8 bits: Pillow clips 16-bit grey ones when it converts them."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode != "I;16":
        return upright
    return Image.fromarray(eight_bit(np.asarray(upright, np.uint16)))


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


class Pictures:
    """Pictures that were shown recently; beyond _MOST_BYTES the oldest are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Hashable], Any] = OrderedDict()

    def get(self, visit: str, key: Hashable) -> Any | None:
        """Return the value stored for a visit under a key, or None."""
        with self._lock:
            found = self._kept.get((visit, key))
            if found is not None:
                self._kept.move_to_end((visit, key))
            return found

    def put(self, visit: str, key: Hashable, value: Any) -> None:
        """Keep something for a visit."""
        with self._lock:
            self._kept[visit, key] = value
            while len(self._kept) > 1 and sum(map(_bytes_of, self._kept.values())) > _MOST_BYTES:
                self._kept.popitem(last=False)

    def forget(self, visit: str) -> None:
        """Forget everything of a visit."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == visit]:
                del self._kept[key]


def _bytes_of(value: Any) -> int:
    if isinstance(value, Look):
        return value.photo.nbytes + sum(face.nbytes for face in value.faces)
    return int(value.nbytes)


def thumbnail(content: bytes, size: int, max_megapixels: float) -> bytes:
    """Return a photo file at a small size, as JPEG; a large JPEG is decoded in part. Raises PhotoError."""
    if content.startswith(b"\xff\xd8\xff") and not has_endless_scans(io.BytesIO(content)):
        try:
            image = JpegImageFile(io.BytesIO(content))
            if image.width * image.height <= max_megapixels * 1e6:
                return _thumbnail_of_jpeg(image, size)
        except Exception as error:
            raise PhotoError(f"the photo is damaged, cut short or unusual: {cause_of(error)}") from error
    photo = read_photo(content, max_megapixels=max_megapixels)
    return jpeg(small(photo.pixels, photo.alpha, size), photo.source)


def _thumbnail_of_jpeg(image: Image.Image, size: int) -> bytes:
    image.draft("RGB", (size, size))
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "L") else None
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((size, size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    upright.convert("L" if upright.mode == "L" else "RGB").save(
        file, "JPEG", quality=_QUALITY, icc_profile=profile
    )
    return file.getvalue()
