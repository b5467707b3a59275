"""What the user asks of a restoration, checked once, where it comes in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from base.errors import SettingsError
from base.text import one_line
from runtime.faces.align import TEMPLATES, Template
from runtime.faces.regions import check_weights

FaceChoice = Literal["all", "largest"] | tuple[int, ...]
"""Which faces: all of them, the largest, or indices in the order of size, the largest being 0."""
Upscale = Literal[1, 2, 4]


@dataclass(frozen=True)
class RestoreSettings:
    """Settings of one restoration: how much (design §4), which faces, how large.

    The defaults are the preset `standard`. Raises SettingsError for a value outside its range.
    """

    degradation_scale: float = 0.0
    """s: how much fine texture and damage is taken away before the prior looks; 0.3 to 1.2, or 0 for none."""
    latent_step_decay: float = 0.1
    """η: how far the latent moves in a step; 0.02 to 0.1, or 1 for the published single pass."""
    iterations: int = 30
    """N: steps; with η they say how much of the way from the photo to the prior is gone."""
    face_mask_weights: Mapping[str, float] = field(default_factory=dict)
    """ρ: how strongly each region is restored, 0 to 2; regions not named weigh 1."""
    grain: bool = False
    """The photo's noise is kept: it is grain, and comes back whole."""
    soften_scratches: bool = False
    """Thin long lines of damage across a face are filled from beside them, softly."""
    desaturate_fringes: bool = False
    """Purple fringes beside strong edges lose most of their colour."""
    clamp_ringing: bool = False
    """No restored pixel is brighter or darker than the photo nearby."""
    multiscale_blend: bool = False
    """A face's border is blended at several scales: texture over a few pixels, brightness over many."""
    fill_missing: bool = False
    """What is covered or blown out in a face is filled from around it; else the photo's pixels are kept."""
    budget: float = 5.0
    """Seconds that a face may take; checked between passes."""
    faces: FaceChoice = "all"
    upscale: Upscale = 1
    """The photo is enlarged by this factor and the faces are pasted at the larger size."""
    template: Template = "published"
    """Where the network expects eyes, nose and mouth: `published` unless it was trained on other crops."""

    def __post_init__(self) -> None:
        s, eta = self.degradation_scale, self.latent_step_decay
        if not (s == 0 or 0.3 <= s <= 1.2):
            raise SettingsError(
                f"degradation_scale is {s:g}: give 0.3 to 1.2, or 0 for none; "
                "less changes nothing, more makes the prior invent"
            )
        if not (eta == 1 or 0.02 <= eta <= 0.1):
            raise SettingsError(
                f"latent_step_decay is {eta:g}: give 0.02 to 0.1, or 1 for one full-strength pass; "
                "smaller steps take too many iterations, larger ones overshoot"
            )
        if not 1 <= self.iterations <= 1000:
            raise SettingsError(f"iterations is {self.iterations}: give 1 to 1000")
        if not self.budget > 0:
            raise SettingsError(f"budget is {self.budget:g} seconds: give more than 0")
        check_weights(self.face_mask_weights)
        if self.upscale not in get_args(Upscale):
            raise SettingsError(f"upscale is {self.upscale}: give 1, 2 or 4")
        if self.template not in TEMPLATES:
            raise SettingsError(f"template is {self.template!r}: give one of {', '.join(TEMPLATES)}")
        chosen = self.faces
        if chosen not in ("all", "largest") and not (
            isinstance(chosen, tuple) and chosen and all(isinstance(i, int) and i >= 0 for i in chosen)
        ):
            raise SettingsError(
                f"faces is {chosen!r}: give all, largest, or indices from 0, the largest face"
            )


def parse_faces(text: str) -> FaceChoice:
    """Read `all`, `largest` or `INDEX[,INDEX]`, as the command line gives it."""
    if text == "all":
        return "all"
    if text == "largest":
        return "largest"
    try:
        return tuple(int(index) for index in text.split(","))
    except ValueError:
        raise SettingsError(f"--face {one_line(text)}: give all, largest, or indices such as 0,2") from None
