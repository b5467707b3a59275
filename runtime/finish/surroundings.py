"""The surroundings that a finishing step may read: the photo around the pixels that it finishes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.pixels import Pixels


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The photo around a piece of a composed face."""

    photo: Pixels
    """H×W×3 uint8 or uint16 RGB: the piece with the step's margin, as far as the photo extends."""
    inside: tuple[slice, slice]
    """Where the piece lies in `photo`."""
    aligned: AlignedFace
    """The face in the coordinates of the whole photo, after any enlargement."""
    gain: NDArray[np.floating] | float
    """Factors that bring the photo's channels to studio light, 3; channels with larger ones have less
    contrast."""
    offset: NDArray[np.floating] | float
    """Added after the gain, 3."""
