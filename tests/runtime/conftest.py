"""What the tests of the runtime share."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from engines.package import open_package
from runtime.faces.align import Pixels
from runtime.network.backends import Backend, open_backend
from runtime.restorer import Restorer

BLUR = 2.0
"""σ in pixels."""


@pytest.fixture(scope="module")
def backend(tiny_package: Path) -> Iterator[Backend]:
    """The tiny package's networks, on one thread."""
    opened = open_backend("auto", open_package(tiny_package), threads=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def restorer(tiny_package: Path) -> Iterator[Restorer]:
    """A restorer with the tiny package, on one thread."""
    with Restorer.open(tiny_package, threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def blurred(portrait: Pixels) -> Pixels:
    """The portrait, so blurred that it is restored; of a sharp one the network may change next to nothing."""
    return np.asarray(cv2.GaussianBlur(portrait, (0, 0), BLUR), np.uint8)


@pytest.fixture(scope="session")
def group(blurred: Pixels) -> Pixels:
    """Two blurred faces side by side, the second half as large."""
    photo = np.full((512, 800, 3), 90, np.uint8)
    photo[:, :512] = blurred
    photo[:256, 520:776] = blurred[::2, ::2]
    return photo


@pytest.fixture
def blurred_file(blurred: Pixels, tmp_path: Path) -> Path:
    """The blurred portrait as a lossless file."""
    path = tmp_path / "blurred.png"
    Image.fromarray(blurred).save(path)
    return path
