"""JPEGs whose end is missing, and reading what decodes of a damaged file."""

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
    """Return whether a JPEG's first picture ends with the end marker."""
    return any(each.marker == END_OF_PICTURE for each in segments(data))


def with_its_end(content: bytes) -> bytes | None:
    """Complete a JPEG that lacks its end marker and nothing else; None where some of the picture is missing.

    Zeros in the place of the marker are taken for the same. The decoder fills what is missing without a word.
    So the end is put on the file once as it is, and again after noise: where all samples are coded, the noise
    is never decoded, and the pictures are equal.
    """
    coded = content.rstrip(b"\0")
    if coded.endswith(b"\xff"):  # half of the marker; or a coded 0xFF, which a zero follows
        coded = coded + b"\0" if len(coded) < len(content) else coded[:-1]
    if coded.endswith(_END) or not _is_complete(coded):
        return None
    try:
        picture = _decoded(coded + _END)
        if all(np.array_equal(_decoded(coded + noise + _END), picture) for noise in _NOISES):
            return coded + _END
    except Exception:  # on damaged bytes Pillow raises whatever it stumbles over
        return None
    return None


@contextmanager
def accepting_damage() -> Iterator[None]:
    """Have Pillow decode as much of a cut file as there is, while the block lasts.

    The switch is Pillow's own and holds for all threads; one thread at a time turns it on.
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
