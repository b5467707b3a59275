"""`python -m runtime.demo`: restore a real portrait that was visibly degraded by a fixed amount."""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from base.command_line import run
from runtime import restore

FOLDER = Path("demo-out")
BLUR = 0.7
"""σ in pixels."""
NOISE = 16.0
"""σ in 8-bit levels."""
JPEG_QUALITY = 80


def main() -> int:
    """Write the degraded portrait, restore it, and print the path of the before/after picture."""
    return run(_demo)


def _demo() -> int:
    from skimage.data import astronaut  # Eileen Collins, NASA, public domain

    FOLDER.mkdir(exist_ok=True)
    photo, restored, sheet = (FOLDER / name for name in ("degraded.jpg", "restored.jpg", "before-after.png"))
    degraded = degrade(astronaut())  # type: ignore[no-untyped-call]
    cv2.imwrite(str(photo), degraded[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    status = restore.main([str(photo), "-o", str(restored), "--compare", str(sheet), "--overwrite"])
    if status == 0:
        print(f"before/after picture: {sheet.resolve()}")  # noqa: T201
    return status


def degrade(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur a picture and add noise, identically on every call."""
    noise = np.random.default_rng(0).normal(0, NOISE, picture.shape)
    noisy = cv2.GaussianBlur(picture, (0, 0), BLUR) + noise
    return np.asarray(np.rint(np.clip(noisy, 0, 255)), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
