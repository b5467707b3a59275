"""Resolve settings: the command line wins over the config file, the file over the preset."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from base.errors import SettingsError
from base.near_names import unknown
from runtime.settings.config_file import Changes, Config, FaceWish
from runtime.settings.per_face import WHOLE_PHOTO, ByFace
from runtime.settings.settings import SETTINGS, RestoreSettings

ALWAYS_SAID = ("degradation_scale", "latent_step_decay", "iterations")
"""Settings that are named even if they are the defaults."""


@dataclass(frozen=True)
class ResolvedSettings:
    """The settings of one run, after presets, config file and command line."""

    settings: RestoreSettings = field(default_factory=RestoreSettings)
    """The settings of all faces without their own."""
    by_face: ByFace = field(default_factory=dict)
    preset: str = field(default="standard", compare=False)
    """The name of the preset on which they are based."""


def resolve_settings(
    config: Config, given: Changes | None = None, preset: str | None = None
) -> ResolvedSettings:
    """Resolve the settings of a run.

    A face's own settings are added to those of all faces, or replace them if it has its own preset. What is
    given on the command line wins over both.

    given   settings from the command line
    preset  from the command line; it replaces the file's

    Raises SettingsError for an unknown preset, or settings that do not go together.
    """
    given = given or {}
    preset = preset or config.run.get("preset", "standard")
    if preset not in config.presets:
        raise SettingsError(unknown("preset", preset, config.presets))
    for_all = config.presets[preset] | config.changes
    own = {i: _own(wish, for_all, config, given) for i, wish in config.by_face.items()}
    return ResolvedSettings(RestoreSettings(**(for_all | given)), own, preset)


def _own(wish: FaceWish, for_all: Changes, config: Config, given: Changes) -> RestoreSettings | None:
    if not wish.restore:
        return None
    below = for_all
    if wish.preset is not None:
        below = config.presets[wish.preset] | whole_photo(for_all)
    return RestoreSettings(**(below | wish.changes | given))


def whole_photo(changes: Mapping[str, Any]) -> Changes:
    """Return those of the given settings that concern the whole photo."""
    return {name: value for name, value in changes.items() if name in WHOLE_PHOTO}


def lines(resolved: ResolvedSettings) -> list[str]:
    """Describe settings: one line for all faces, and one for each face with settings of its own."""
    found = [f"settings: {', '.join(worth_saying(resolved.settings))}"]
    for i, own in sorted(resolved.by_face.items()):
        different = (
            "left out" if own is None else ", ".join(_differences(own, resolved.settings)) or "the same"
        )
        found.append(f"settings of face {i}: {different}")
    return found


def worth_saying(settings: RestoreSettings) -> list[str]:
    """Return `name value` of the loop's settings, and of other settings that differ from the defaults."""
    return _differences(settings, RestoreSettings(), besides=ALWAYS_SAID)


def _differences(
    settings: RestoreSettings, others: RestoreSettings, besides: tuple[str, ...] = ()
) -> list[str]:
    values = asdict(settings)
    return [
        f"{name} {written(value, name)}"
        for name, value in values.items()
        if name in besides or value != getattr(others, name)
    ]


def as_json(resolved: ResolvedSettings) -> dict[str, Any]:
    """Return settings as the report stores them; a face that is left out has null."""
    own = {str(i): asdict(own) if own else None for i, own in sorted(resolved.by_face.items())}
    return {"settings": asdict(resolved.settings), "settings_by_face": own}


def written(value: Any, name: str = "") -> str:
    """Return a setting's value as it is shown to the user.

    name  of the setting, which says what it means that there is no value
    """
    if value is None:
        return SETTINGS[name].none if name in SETTINGS else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={written(item)}" for name, item in value.items()) or "all 1"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
