"""Treat aligned portraits as photos: each is already the crop of its own face."""

import numpy as np
from numpy.typing import NDArray

from engines.package import Package
from runtime.faces.align import TEMPLATES, AlignedFace
from runtime.faces.face import Face
from runtime.faces.parsed import ParsedFace
from runtime.faces.regions import crop_landmarks, region_masks
from runtime.network.backends import open_backend
from runtime.restorer import Restorer


def open_restorer(package: Package) -> Restorer:
    """Open a package for photos that are aligned portraits, without a real detector.

    The whole crop is pasted, so that the model's entire output can be measured.
    """
    return Restorer(package, open_backend("onnxruntime", package), AlignedPortraits(), WholeCrops())


class AlignedPortraits:
    """A detector that returns the face at the position of the published template."""

    def detect(self, pixels: NDArray[np.uint8]) -> tuple[Face, ...]:
        """Return the one face of a square portrait."""
        size = len(pixels)
        landmarks = (TEMPLATES["published"] * size).astype(np.float32)
        return (Face((0.0, 0.0, float(size), float(size)), landmarks, 1.0),)


class WholeCrops:
    """A parser that derives regions from the landmarks, and has the background pasted along with the head."""

    def parse(self, aligned: AlignedFace) -> ParsedFace:
        """Return the regions that a face has without a face-parsing network."""
        size = len(aligned.crop)
        whole = np.ones((size, size), np.float32)
        return ParsedFace(region_masks(crop_landmarks(aligned), size), whole)
