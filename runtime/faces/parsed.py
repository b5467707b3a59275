"""The result of a face-parsing network for a crop."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ParsedFace:
    """The parts of a face, pixel by pixel."""

    regions: dict[str, NDArray[np.float32]]
    """By name, S×S in [0, 1]; their sum is 1."""

    mask: NDArray[np.float32]
    """S×S in [0, 1]: how much a pixel belongs to the head and is pasted; 0 on the background."""
