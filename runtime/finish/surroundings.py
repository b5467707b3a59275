"""What a finishing step may look at: the photo around the pixels that it finishes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.pixels import Pixels


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The photo around a piece of a composed face."""

    photo: Pixels
    """H×W×3 uint8 or uint16 RGB: the piece with the step's margin, as far as the photo goes."""
    inside: tuple[slice, slice]
    """Where in it the piece lies."""
    aligned: AlignedFace
    """The face, as it lies in the whole photo, enlarged if that is."""
    gain: NDArray[np.floating] | float
    """What brings the photo's channels to studio light, 3: contrast is fainter in channels that need more."""
    offset: NDArray[np.floating] | float
    """What is added after it, 3."""
