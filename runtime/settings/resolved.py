"""The settings in force: the command line wins over the config file, the file over the preset."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from base.errors import SettingsError
from base.near_names import unknown
from runtime.settings.config_file import Changes, Config, FaceWish
from runtime.settings.per_face import WHOLE_PHOTO, ByFace
from runtime.settings.settings import RestoreSettings

ALWAYS_SAID = ("degradation_scale", "latent_step_decay", "iterations")
"""Settings that are named even where they are the defaults."""


@dataclass(frozen=True)
class InForce:
    """The settings of one run."""

    settings: RestoreSettings = field(default_factory=RestoreSettings)
    """Of all faces but those that have their own."""
    by_face: ByFace = field(default_factory=dict)
    preset: str = field(default="standard", compare=False)
    """Name of the preset that they start from."""


def in_force(config: Config, said: Changes | None = None, preset: str | None = None) -> InForce:
    """Return what is in force.

    A face's own settings stand on those of all faces, or on its own preset, which replaces them; what is
    said wins over either.

    said    settings from the command line
    preset  from there too; it takes the place of the file's

    Raises SettingsError for an unknown preset, or settings that do not go together.
    """
    said = said or {}
    preset = preset or config.run.get("preset", "standard")
    if preset not in config.presets:
        raise SettingsError(unknown("preset", preset, config.presets))
    for_all = config.presets[preset] | config.changes
    own = {i: _own(wish, for_all, config, said) for i, wish in config.by_face.items()}
    return InForce(RestoreSettings(**(for_all | said)), own, preset)


def _own(wish: FaceWish, for_all: Changes, config: Config, said: Changes) -> RestoreSettings | None:
    if not wish.restore:
        return None
    below = for_all
    if wish.preset is not None:
        below = config.presets[wish.preset] | whole_photo(for_all)
    return RestoreSettings(**(below | wish.changes | said))


def whole_photo(changes: Mapping[str, Any]) -> Changes:
    """Return those of some settings that concern the whole photo."""
    return {name: value for name, value in changes.items() if name in WHOLE_PHOTO}


def lines(force: InForce) -> list[str]:
    """Say the settings in force: a line for all faces, and one for each that has its own."""
    found = [f"settings: {', '.join(worth_saying(force.settings))}"]
    for i, own in sorted(force.by_face.items()):
        different = "left out" if own is None else ", ".join(_differences(own, force.settings)) or "the same"
        found.append(f"settings of face {i}: {different}")
    return found


def worth_saying(settings: RestoreSettings) -> list[str]:
    """Return `name value` of the loop's settings, and of others that are not the defaults."""
    return _differences(settings, RestoreSettings(), besides=ALWAYS_SAID)


def _differences(
    settings: RestoreSettings, others: RestoreSettings, besides: tuple[str, ...] = ()
) -> list[str]:
    values = asdict(settings)
    return [
        f"{name} {written(value)}"
        for name, value in values.items()
        if name in besides or value != getattr(others, name)
    ]


def as_json(force: InForce) -> dict[str, Any]:
    """Return the settings in force as the report has them; a face that is left out has null."""
    own = {str(i): asdict(own) if own else None for i, own in sorted(force.by_face.items())}
    return {"settings": asdict(force.settings), "settings_by_face": own}


def written(value: Any) -> str:
    """Return a setting's value as it is shown to a person."""
    if value is None:
        return "the package's"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={written(item)}" for name, item in value.items()) or "all 1"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
