"""Changes to a crop and its target alike: the light it was taken in, grey and sepia."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import LUMA
from training.damage.blurring import Picture

Colours: TypeAlias = Literal["as they are", "grey", "sepia"]
SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
"""The sepia of photo programs since Microsoft's ColorMatrix samples: rows give R, G, B."""
GAMMA = 2.2


@dataclass(frozen=True)
class Tone:
    """The light and colours of one crop."""

    colours: Colours = "as they are"
    strength: float = 1.0
    """Strength of the sepia, from 0 (grey) to 1."""
    light: float = 1.0
    """Share of the light that remains, in linear light."""


PLAIN = Tone()


def toned(picture: Picture, tone: Tone) -> Picture:
    """Return a picture, H×W×3, levels in [0, 255], in its light and colours, rounded."""
    if tone == PLAIN:
        return picture
    mixed = cv2.transform(picture, _matrix(tone))
    # Light scales linear values, hence stored ones by a power of it.
    return np.asarray(np.rint(np.clip(mixed * np.float32(tone.light ** (1 / GAMMA)), 0, 255)), np.float32)


def _matrix(tone: Tone) -> NDArray[np.float32]:
    if tone.colours == "as they are":
        return np.eye(3, dtype=np.float32)
    grey = np.tile(LUMA.astype(np.float32), (3, 1))
    if tone.colours == "grey":
        return grey
    return np.asarray(grey + tone.strength * (np.array(SEPIA, np.float32) @ grey - grey), np.float32)
