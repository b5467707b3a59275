"""Choose the faces of a photo that are restored, each with its settings. The limits of rules are soft: a face
close to a limit is restored in part, so that in a folder of photos small differences do not decide
everything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from base.errors import SettingsError
from runtime.face_warnings import is_tiny
from runtime.faces.face import Face
from runtime.faces.noise import TEXTURE, noise_sigma
from runtime.faces.recognise import ANOTHER, Descriptor, distance
from runtime.faces.sharpness import face_sharpness
from runtime.pixels import Pixels, as_float, ramp
from runtime.settings.face_rules import FaceRules, read_rules
from runtime.settings.per_face import ByFace
from runtime.settings.settings import RestoreSettings

LIKE = ANOTHER - 0.05
"""Faces closer than this count as the person of `person=FILE`; slightly stricter than ANOTHER."""
LARGE_ENOUGH = 2.0
"""Faces this many times as wide as `min` are restored in full."""
BLURRED_ENOUGH = 0.75
"""Faces whose sharpness is below this share of the limit are restored in full."""
AT_THE_END = 0.5
"""The share of the strength exactly at a rule's limit."""
NOISE = (2 / 255, 12 / 255)
"""Range of the noise's σ, in units of full scale, over which a face's sharpness counts less and less."""
WIDEST = 512
"""Side of the largest square in which noise is measured."""


@dataclass(frozen=True)
class ChosenFaces:
    """The faces of a photo that are restored."""

    settings: dict[int, RestoreSettings] = field(default_factory=dict)
    """The settings of each face by index, with the strength that the rules allow."""
    notes: dict[int, str] = field(default_factory=dict)
    """What the rules decided about a face, by index, including faces that are left alone."""


@dataclass(frozen=True, eq=False)
class Judge:
    """Measures the properties of faces that rules refer to."""

    photo: Pixels
    """H×W×3 uint8 or uint16 RGB."""
    describe: Callable[[Face], Descriptor]
    """Returns the descriptor of one of its faces."""
    person: Descriptor | None = None
    """The person of `person=FILE`."""

    def clearness(self, face: Face) -> float:
        """Return the sharpness of a face, reduced by its noise: 0…1."""
        noisy = float(ramp(self._noise(face), *NOISE))
        return face_sharpness(self.photo, face) * (1 - noisy)

    def _noise(self, face: Face) -> float:
        x0, y0, x1, y1 = face.box
        half = min(WIDEST, x1 - x0, y1 - y0) / 2
        middle = np.array([x0 + x1, y0 + y1]) / 2
        (left, top), (right, bottom) = (
            np.rint(np.clip(middle + way * half, 0, self.photo.shape[1::-1])).astype(int) for way in (-1, 1)
        )
        sigma = noise_sigma(as_float(self.photo[top:bottom, left:right]))
        return float(np.sqrt(max(0.0, sigma**2 - TEXTURE**2)))

    @cached_property
    def centre(self) -> tuple[float, float]:
        """The middle of the photo."""
        return self.photo.shape[1] / 2, self.photo.shape[0] / 2


def choose_faces(
    found: tuple[Face, ...], settings: RestoreSettings, by_face: ByFace, judge: Judge | None = None
) -> ChosenFaces:
    """Choose the faces to restore; at strength 0 none is restored.

    judge  measures the faces; needed for `centre` and for rules

    Raises SettingsError if the settings name a face that does not exist.
    """
    rules = read_rules(settings.face)
    missing = next((i for i in rules.numbers if i >= len(found)), None)
    if missing is not None:
        there = f"its faces are 0 to {len(found) - 1}" if len(found) > 1 else "its only face is 0"
        there = there if found else "it has no face"
        raise SettingsError(f"the photo has no face {missing}: {there}")
    own = {i: by_face.get(i, settings) for i in range(len(found))}
    possible = {i: each for i, each in own.items() if each and each.strength > 0 and not is_tiny(found[i])}
    shares, notes = _by_rule(found, possible, rules, judge)
    places = [i for i in possible if shares[i]] if rules.is_by_rule else list(range(len(found)))
    named = [i for i in _named(found, places, rules, judge) if i in possible and shares.get(i, 1.0)]
    chosen = {i: _weaker(possible[i], shares.get(i, 1.0)) for i in named}
    return ChosenFaces(chosen, {i: note for i, note in notes.items() if i in chosen or not shares[i]})


def _weaker(settings: RestoreSettings, share: float) -> RestoreSettings:
    return settings if share == 1 else replace(settings, strength=settings.strength * share)


def _named(
    found: tuple[Face, ...], places: list[int], rules: FaceRules, judge: Judge | None
) -> tuple[int, ...]:
    """Of the faces that satisfy the rules, return those at the place that the rules name, or all if they name
    none."""
    if not (rules.numbers or rules.largest or rules.centre):
        return tuple(places)
    named = [*rules.numbers]
    if rules.largest:
        named += places[:1]
    if rules.centre and places:
        assert judge
        middle = judge.centre
        named.append(min(places, key=lambda i: _away(found[i], middle)))
    return tuple(dict.fromkeys(named))


def _away(face: Face, point: tuple[float, float]) -> float:
    x0, y0, x1, y1 = face.box
    return float(np.hypot((x0 + x1) / 2 - point[0], (y0 + y1) / 2 - point[1]))


def _by_rule(
    found: tuple[Face, ...],
    possible: Mapping[int, RestoreSettings],
    rules: FaceRules,
    judge: Judge | None,
) -> tuple[dict[int, float], dict[int, str]]:
    """Return the share of its strength that each face keeps, and the reason for those that keep less than
    all."""
    shares: dict[int, float] = {}
    notes: dict[int, str] = {}
    if not rules.is_by_rule:
        return shares, notes
    assert judge
    for i in possible:
        shares[i], note = _judged(found[i], rules, judge)
        if note:
            notes[i] = note
    return shares, notes


def _judged(face: Face, rules: FaceRules, judge: Judge) -> tuple[float, str]:
    """Return the share of its strength that a face keeps, and the reason if it is less than 1."""
    if face.width < rules.least:
        return 0.0, f"left alone: {_wide(face, rules.least)} pixels wide, under {rules.least:g}"
    if face.width > rules.most:
        return 0.0, f"left alone: {_wide(face, rules.most)} pixels wide, over {rules.most:g}"
    share, reasons = 1.0, []
    if rules.least and face.width < LARGE_ENOUGH * rules.least:
        large = float(ramp(face.width, rules.least, LARGE_ENOUGH * rules.least))
        share *= AT_THE_END + (1 - AT_THE_END) * large
        reasons.append(f"only {face.width:.0f} pixels wide")
    if rules.sharper is not None:
        clear = judge.clearness(face)
        if clear >= rules.sharper:
            return 0.0, f"left alone: sharp and clean ({clear:.2f}, not below {rules.sharper:g})"
        if clear > BLURRED_ENOUGH * rules.sharper:
            good = float(ramp(clear, BLURRED_ENOUGH * rules.sharper, rules.sharper))
            share *= 1 - (1 - AT_THE_END) * good
            reasons.append(f"rather sharp ({clear:.2f})")
    if judge.person is not None:
        apart = distance(judge.describe(face), judge.person)
        if apart >= LIKE:
            return 0.0, f"left alone: not that person (distance {apart:.2f})"
    return share, f"restored to {share:.0%}: {' and '.join(reasons)}" if reasons else ""


def _wide(face: Face, limit: float) -> str:
    """Return the width of a face in pixels, with a decimal if it is so close to a limit."""
    return f"{face.width:.1f}" if abs(face.width - limit) < 1 else f"{face.width:.0f}"
