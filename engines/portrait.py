"""The bundled portrait for checking packages."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PORTRAIT = Path(__file__).parent / "data" / "portrait.jpg"
"""A real face, aligned, 512×512: Eileen Collins (NASA, public domain; the astronaut of scikit-image)."""


def portraits(size: int) -> NDArray[np.float32]:
    """Return the portrait and its mirror image as network input, 2×3×S×S RGB in [−1, 1].

    size  S
    """
    with Image.open(PORTRAIT) as picture:
        crop = np.asarray(picture.resize((size, size)), np.float32) / 127.5 - 1
    return np.ascontiguousarray(np.stack([crop, crop[:, ::-1]]).transpose(0, 3, 1, 2))
