"""JPEGs that are cut short, and decoding what is left of a damaged file."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from runtime.photo.jpeg_segments import END_OF_PICTURE, START_OF_SCAN, Data, segments

_END = b"\xff\xd9"
_NOISES = (bytes(range(1, 255)) * 4, bytes(range(254, 0, -1)) * 4)
_COEFFICIENTS = 64
_TOLERANT = threading.Lock()


def has_its_end(data: Data) -> bool:
    """Return whether a JPEG's first image ends with the end marker."""
    return any(each.marker == END_OF_PICTURE for each in segments(data))


def with_its_end(content: bytes) -> bytes | None:
    """Complete a JPEG that lacks only its end marker; return None if part of the image is missing.

    Zeros in place of the marker count as missing. The decoder fills in missing data silently. So the file is
    decoded twice, with the end marker appended directly and after some noise: if all samples are present, the
    noise is never decoded and the two images are equal.
    """
    coded = content.rstrip(b"\0")
    if coded.endswith(b"\xff"):  # half of the marker; or a coded 0xFF, which is followed by a zero
        coded = coded + b"\0" if len(coded) < len(content) else coded[:-1]
    if coded.endswith(_END) or not _is_complete(coded):
        return None
    try:
        picture = _decoded(coded + _END)
        if all(np.array_equal(_decoded(coded + noise + _END), picture) for noise in _NOISES):
            return coded + _END
    except Exception:  # on damaged bytes Pillow may raise anything
        return None
    return None


@contextmanager
def accepting_damage() -> Iterator[None]:
    """Let Pillow decode as much of a truncated file as it can, within the block.

    The switch is global in Pillow and affects all threads; only one thread at a time turns it on.
    """
    with _TOLERANT:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _decoded(content: bytes) -> "np.typing.NDArray[np.uint8]":
    with JpegImageFile(io.BytesIO(content)) as image:
        image.load()
        return np.asarray(image)


def _is_complete(content: bytes) -> bool:
    """Return whether the scans code every coefficient of every component down to its last bit."""
    components: set[int] = set()
    left: dict[int, set[int]] = {}
    for each in segments(content):
        body = content[each.body : each.end]
        if 0xC0 <= each.marker <= 0xCF and each.marker not in (0xC4, 0xC8, 0xCC) and len(body) > 5:
            components = set(body[6 : 6 + 3 * body[5] : 3])
            left = {component: set(range(_COEFFICIENTS)) for component in components}
        elif each.marker == START_OF_SCAN and body:
            count = body[0]
            if len(body) < 4 + 2 * count:
                return False
            first, last, precision = body[1 + 2 * count : 4 + 2 * count]
            if precision & 15 == 0:
                for component in body[1 : 1 + 2 * count : 2]:
                    left.get(component, set()).difference_update(range(first, last + 1))
    return bool(components) and not any(left.values())
