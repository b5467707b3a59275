"""What the tests of the finishing steps share."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.package import open_package
from portraits.aligned import AlignedPortraits
from runtime.faces.align import AlignedFace, align, inverted
from runtime.faces.face import Face
from runtime.faces.mesh_network import MeshNetwork
from runtime.network.backends import open_backend
from runtime.restorer import Restorer

_LANDMARKS = np.array([(203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4)])


@pytest.fixture(scope="module")
def bundled() -> Iterator[Restorer]:
    """The bundled package, for photos that are aligned portraits."""
    package = open_package()
    with Restorer(package, open_backend("auto", package, threads=1), AlignedPortraits()) as opened:
        yield opened


@pytest.fixture(scope="module")
def head(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The portrait's head, twice as large, so that a crop is sharp."""
    return cv2.resize(portrait, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)[:512, 192:704]


@pytest.fixture(scope="module")
def bare(head: NDArray[np.uint8]) -> AlignedFace:
    """Nothing covers its face."""
    landmarks = (2 * _LANDMARKS - (192, 0)).astype(np.float32)
    aligned = align(head, Face((0, 0, 1, 1), landmarks, 1.0), 256)
    mesh = MeshNetwork(threads=1).find(head, landmarks)
    assert mesh is not None
    return replace(aligned, mesh=mesh.moved(inverted(aligned.to_photo)))
