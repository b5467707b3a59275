"""Settings of single faces: one person of a group restored strongly, the others lightly, one left out."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeAlias

from base.errors import SettingsError
from runtime.settings.settings import RestoreSettings, of_scope

ByFace: TypeAlias = Mapping[int, RestoreSettings | None]
"""Settings of faces by their index in the order of size, the largest being 0; None leaves the face out."""

WHOLE_PHOTO = of_scope("photo")
"""Settings that concern the whole photo: a face cannot have its own."""


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
    """Return the faces in groups that agree on what the loop reads; in each, the order is kept.

    Faces of one group may differ in anything else: region weights, for example, come with each crop.
    """
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for i, settings in wanted.items():
        groups.setdefault(loop_settings(settings), []).append(i)
    return groups.values()


def loop_settings(settings: RestoreSettings) -> tuple[Hashable, ...]:
    """Return the values of all settings that the loop reads."""
    return tuple(getattr(settings, name) for name in of_scope("loop"))
