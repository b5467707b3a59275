"""Settings of single faces: in a group, restore one person strongly, others lightly, and leave one out."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeAlias

from base.errors import SettingsError
from runtime.settings.settings import RestoreSettings, of_scope

ByFace: TypeAlias = Mapping[int, RestoreSettings | None]
"""Settings of faces by index, in order of size; 0 is the largest. None leaves the face out."""

WHOLE_PHOTO = of_scope("photo")
"""Settings that concern the whole photo: a face cannot have its own."""


def check_by_face(settings: RestoreSettings, by_face: ByFace) -> None:
    """Raise SettingsError if settings of single faces differ in a setting of the whole photo."""
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


def in_common_batches(
    wanted: Mapping[int, RestoreSettings], most_passes: Mapping[int, int]
) -> Iterable[list[int]]:
    """Group faces by their passes and the settings that the loop reads; the order within each group is kept.

    Faces in a group may differ in all other settings; region weights, for example, are passed with each crop.
    """
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for i, settings in wanted.items():
        groups.setdefault((most_passes[i], loop_settings(settings)), []).append(i)
    return groups.values()


def loop_settings(settings: RestoreSettings, **instead: Hashable) -> tuple[Hashable, ...]:
    """Return the values of all settings that the loop reads.

    instead  values in place of the settings' own, by name
    """
    return tuple(instead.get(name, getattr(settings, name)) for name in of_scope("loop"))
