"""What a face-parsing network says of a crop."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ParsedFace:
    """Where the parts of a face lie, followed from pixel to pixel."""

    regions: dict[str, NDArray[np.float32]]
    """By name, S×S in [0, 1]; their sum is 1."""

    mask: NDArray[np.float32]
    """S×S in [0, 1]: how far a pixel belongs to the head, and is pasted; 0 on the background."""
