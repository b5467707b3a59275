"""Settings of single faces: one person of a group restored strongly, the others lightly, one left out."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import fields
from typing import TypeAlias

from base.errors import SettingsError
from runtime.settings.settings import RestoreSettings

ByFace: TypeAlias = Mapping[int, RestoreSettings | None]
"""Settings of faces by their index in the order of size, the largest being 0; None leaves the face out."""

WHOLE_PHOTO = ("faces", "upscale", "template", "budget")
"""Settings that concern the whole photo: a face cannot have its own."""

BESIDE_THE_LOOP = (
    *WHOLE_PHOTO,
    "face_mask_weights",
    "grain",
    "soften_scratches",
    "desaturate_fringes",
    "clamp_ringing",
    "multiscale_blend",
    "fill_missing",
)
"""Settings that faces of one batch need not share: the loop does not read them (ρ comes with each crop)."""


def check_by_face(settings: RestoreSettings, by_face: ByFace) -> None:
    """Raise SettingsError unless single faces differ from the rest only in what concerns a face."""
    for i, own in by_face.items():
        if isinstance(i, bool) or not isinstance(i, int) or i < 0:
            raise SettingsError(f"settings are given for face {i!r}: faces are counted from 0, the largest")
        other = next((name for name in WHOLE_PHOTO if own and not _same(own, settings, name)), None)
        if other is not None:
            raise SettingsError(
                f"face {i} has its own {other}, which concerns the whole photo: set it for all faces"
            )


def _same(one: RestoreSettings, other: RestoreSettings, name: str) -> bool:
    return bool(getattr(one, name) == getattr(other, name))


def in_common_batches(wanted: Mapping[int, RestoreSettings]) -> Iterable[list[int]]:
    """Return the faces in groups whose settings are one to the loop; in each, the order is kept."""
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for i, settings in wanted.items():
        groups.setdefault(_for_the_loop(settings), []).append(i)
    return groups.values()


def _for_the_loop(settings: RestoreSettings) -> tuple[Hashable, ...]:
    """Return all settings that the loop may read; a new one is taken for such until it is named above."""
    return tuple(
        getattr(settings, field.name) for field in fields(settings) if field.name not in BESIDE_THE_LOOP
    )
