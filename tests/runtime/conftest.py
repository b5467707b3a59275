"""What the tests of the runtime share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.package import open_package
from runtime.faces.align import Pixels
from runtime.network.backends import Backend, open_backend
from runtime.restorer import Restorer


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
def group(portrait: Pixels) -> Pixels:
    """Two faces side by side, the second half as large."""
    photo = np.full((512, 800, 3), 90, np.uint8)
    photo[:, :512] = portrait
    photo[:256, 520:776] = portrait[::2, ::2]
    return photo
