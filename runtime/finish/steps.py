"""A finishing step, which is applied to a composed face.

To add one, write its module and declare the setting that switches it on, with its `step`, in
`runtime/settings/settings.py`. Where κ is 1 no step changes anything; the composition sees to that.
"""

from collections.abc import Callable
from dataclasses import dataclass

from runtime.faces.align import AlignedFace
from runtime.finish.surroundings import Surroundings
from runtime.pixels import Picture


@dataclass(frozen=True)
class Step:
    """One finishing step."""

    margin: Callable[[AlignedFace], int]
    """How far around a pixel it reads the photo, in photo pixels."""
    finish: Callable[[Picture, Surroundings], Picture]
    """Returns the finished pixels, H×W×3 in [0, 1]; the composed ones themselves if nothing changes."""
