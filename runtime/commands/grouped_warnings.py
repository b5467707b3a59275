"""The warnings about a photo's faces, those that several faces share given once."""

from collections.abc import Sequence
from dataclasses import dataclass

from base.text import listed
from runtime.face_warnings import TINY, FaceWarning
from runtime.result import FaceResult

OF_SETTINGS = frozenset({"hallucination-risk", "slow-convergence"})
"""Warnings that follow from the settings alone, whatever the photo is."""

_HARMLESS = OF_SETTINGS | {
    "tiny-face",
    "not-parsed",
    "too-blurred",
    "face-larger-than-model",
    "identity-limited",
}
"""Warnings that do not call for a check of the result."""


@dataclass(frozen=True)
class SharedWarning:
    """A warning and the faces that it concerns."""

    code: str
    sentence: str
    faces: tuple[int, ...]

    def __str__(self) -> str:
        """Return `face 2: code: sentence`, or `faces 0, 1 and 2: code: sentence`."""
        if self.code == "tiny-face" and len(self.faces) > 1:
            return f"{self.code}: {self.sentence}"
        return f"{_faces(self.faces)}: {self.code}: {self.sentence}"


def shared_warnings(faces: Sequence[FaceResult]) -> list[SharedWarning]:
    """Group the warnings of a photo's faces: those with the same words, and those of tiny faces."""
    groups: dict[tuple[str, str], list[int]] = {}
    first: dict[tuple[str, str], FaceWarning] = {}
    for i, face in enumerate(faces):
        for warning in face.warnings:
            key = (warning.code, "" if warning.code == "tiny-face" else warning.sentence)
            first.setdefault(key, warning)
            groups.setdefault(key, []).append(i)
    return [_shared(first[key], tuple(group)) for key, group in groups.items()]


def worth_a_look(faces: Sequence[FaceResult]) -> list[str]:
    """Return the codes of those warnings of a photo for which a person should look at the result."""
    codes = (warning.code for face in faces for warning in face.warnings)
    return list(dict.fromkeys(code for code in codes if code not in _HARMLESS))


def _shared(warning: FaceWarning, faces: tuple[int, ...]) -> SharedWarning:
    sentence = warning.sentence
    if warning.code == "tiny-face" and len(faces) > 1:
        sentence = f"{len(faces)} faces under {TINY} pixels were left alone"
    return SharedWarning(warning.code, sentence, faces)


def _faces(faces: tuple[int, ...]) -> str:
    if len(faces) == 1:
        return f"face {faces[0]}"
    if len(faces) > 2 and faces == tuple(range(faces[0], faces[-1] + 1)):
        return f"faces {faces[0]} to {faces[-1]}"
    return f"faces {listed(faces)}"
