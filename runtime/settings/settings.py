"""The settings of a restoration, validated once, when they are created.

Each setting is declared here and nowhere else: its field states its scope, its effect and its allowed
values, and the switch of a finishing step names the step. The command line's options, the keys of config
files, the rules for single faces, error messages, `docs/options.md` and forms follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from base.setting import Range, Scope, Setting, declared, setting
from engines.package import Template
from runtime.faces.regions import WEIGHT_NAMES, WEIGHT_RANGE, check_weights, parse_weights
from runtime.finish.fringes import fringe_margin, without_fringes
from runtime.finish.ringing import ringing_margin, without_ringing
from runtime.finish.steps import Step
from runtime.settings.face_rules import FaceChoice, check_face, parse_faces

Upscale = Literal[1, 2, 4]
RestorationScope = Literal["faces", "photo"]
"""What is restored: only faces, leaving every other pixel unchanged, or the whole photo."""
NewEyes = Literal["never", "small", "blurred"]
"""Whose eyes are drawn again."""

SAME_PERSON = 0.2
"""The distance of `--same-person` without a number: with it, no portrait with heavy mixed damage moves away
from the truth by more than 0.05, and more than 80 % of the gain is kept."""


@dataclass(frozen=True)
class RestoreSettings:
    """Settings of one restoration: how much, which faces, how large.

    The defaults are the preset `standard`. `SETTINGS` lists the meaning and the allowed values of each.
    Raises SettingsError for any other value.
    """

    strength: float = setting(
        1.0,
        "face",
        "How much is restored: the share of the way from the photo (0) to the full result of the other "
        "settings (1). Noise reduction, grain and repairs follow in proportion.",
        range=Range(0, 1),
        metavar="SHARE",
    )
    degradation_scale: float = setting(
        0.0,
        "loop",
        "How much fine texture and damage is blurred away before the network looks at a face (s). More makes "
        "the face smoother and leaves more to the network, which may then invent details.",
        range=Range(0.3, 1.2, {0: "none"}),
        metavar="S",
        why="less changes nothing, more makes the prior invent",
    )
    latent_step_decay: float = setting(
        0.1,
        "loop",
        "The size of a step from the photo to the restored face (η). Smaller steps give a lighter result.",
        range=Range(0.02, 0.1, {1: "one full-strength pass"}),
        metavar="ETA",
        why="smaller steps take too many iterations, larger ones overshoot",
    )
    iterations: int = setting(
        30,
        "loop",
        "The number of steps (N). After N steps, 1 − (1 − η)^N of the way is done.",
        range=Range(1, 1000),
        metavar="N",
    )
    same_person: float | None = setting(
        None,
        "face",
        "Restore each face only as far as it stays the same person: the largest distance from the photo's "
        "face, as a face recogniser measures it. 0 changes nothing, and from 0.6 on, faces pass for two "
        f"people; without a number it is {SAME_PERSON:g}. Hair and background go further than the face.",
        range=Range(0, 1),
        metavar="DISTANCE",
        none="off",
        bare=SAME_PERSON,
    )
    face_mask_weights: Mapping[str, float] = setting(
        dict,
        "face",
        "How strongly each region of a face is restored: 1 is neutral, 0 keeps the photo's own pixels. The "
        f"regions are {', '.join(WEIGHT_NAMES[:-2])}; `edge` stands for strong edges and `face` for all "
        "regions.",
        range=Range(*WEIGHT_RANGE),
        names=WEIGHT_NAMES,
        metavar="REGION=W,…",
        parse=parse_weights,
        validate=check_weights,
    )
    eyes: NewEyes = setting(
        "small",
        "face",
        "Whose eyes a separate network draws again, which invents lids and irises that the photo does not "
        "show: small stands for faces narrower than about 60 pixels, blurred for all blurred faces. Sharp, "
        "closed and covered eyes are left alone. It has no effect with packages of another kind than the "
        "bundled one (crops of 256 pixels, loop renewed).",
    )
    grain: bool = setting(False, "face", "Keep the photo's grain: its noise is returned in full.")
    soften_scratches: bool = setting(
        False, "face", "Fill long, thin scratches across faces softly from both sides."
    )
    clamp_ringing: bool = setting(
        False,
        "face",
        "Allow no restored pixel to be brighter or darker than the photo is nearby.",
        step=Step(ringing_margin, without_ringing),
    )
    desaturate_fringes: bool = setting(
        False,
        "face",
        "Take most of the colour out of purple fringes beside strong edges.",
        step=Step(fringe_margin, without_fringes),
    )
    multiscale_blend: bool = setting(
        False,
        "face",
        "Blend the border of a face at several scales: texture over a few pixels, brightness over many.",
    )
    fill_missing: bool = setting(
        False,
        "face",
        "Fill what is covered or blown out in a face from the face around it. Without this, the photo's own "
        "pixels are kept there.",
    )
    budget: float = setting(
        5.0,
        "photo",
        "Time limit for each face, in seconds. When it is reached, the result so far is returned with a "
        "warning.",
        range=Range(0, above=True),
        unit="seconds",
        metavar="SECONDS",
    )
    scope: RestorationScope = setting(
        "faces",
        "photo",
        "What is restored: faces leaves every pixel outside them as it is; photo also takes noise and JPEG "
        "damage away around them, as far as from the faces.",
    )
    face: FaceChoice = setting(
        "all",
        "photo",
        "Which faces are restored: all, largest, centre, or numbers such as 0,2, where 0 is the largest "
        "face; and rules, which all must hold: min=48px and max=400px for the width, sharper<0.6 for blurred "
        "or noisy faces only, and, as the last, person=FILE for the person in another photo.",
        metavar="WHICH",
        parse=parse_faces,
        validate=check_face,
    )
    upscale: Upscale = setting(
        1, "photo", "Enlarge the photo by this factor (Lanczos); faces are restored at the larger size."
    )
    restore_tones: bool = setting(
        False,
        "photo",
        "Give faded and yellowed photos their range back, by one curve for each colour channel.",
    )
    template: Template | None = setting(
        None,
        "photo",
        "Where the network expects eyes, nose and mouth in a crop, instead of what its package specifies.",
        none="the package's",
    )

    def __post_init__(self) -> None:
        for name, each in SETTINGS.items():
            each.check(getattr(self, name))

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the finishing steps that are switched on, in the order in which they are taken."""
        return tuple(each.step for name, each in SETTINGS.items() if each.step and getattr(self, name))


SETTINGS: Mapping[str, Setting] = declared(RestoreSettings)
"""All settings by name, in display order."""


def of_scope(*scopes: Scope) -> tuple[str, ...]:
    """Return the names of the settings that belong to any of these."""
    return tuple(name for name, each in SETTINGS.items() if each.scope in scopes)
