"""The finishing steps that are applied to a composed face, in order.

To add one, write its module, add a row to STEPS, and declare its switch as a field of RestoreSettings. Where
κ is 1 no step changes anything; the composition sees to that.
"""

from collections.abc import Callable
from dataclasses import dataclass

from runtime.faces.align import AlignedFace
from runtime.finish.fringes import fringe_margin, without_fringes
from runtime.finish.ringing import ringing_margin, without_ringing
from runtime.finish.surroundings import Surroundings
from runtime.pixels import Picture
from runtime.settings.settings import RestoreSettings


@dataclass(frozen=True)
class Step:
    """One finishing step."""

    setting: str
    """The field of RestoreSettings that switches it on."""
    margin: Callable[[AlignedFace], int]
    """How far around a pixel it reads the photo, in photo pixels."""
    finish: Callable[[Picture, Surroundings], Picture]
    """Returns the finished pixels, H×W×3 in [0, 1]; the composed ones themselves if nothing changes."""


STEPS = (
    Step("clamp_ringing", ringing_margin, without_ringing),
    Step("desaturate_fringes", fringe_margin, without_fringes),
)


def steps_of(settings: RestoreSettings) -> tuple[Step, ...]:
    """Return the steps that the settings switch on."""
    return tuple(step for step in STEPS if getattr(settings, step.setting))
