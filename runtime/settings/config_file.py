"""Config files: settings, presets and per-face settings, under the names that the community's scripts use."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from base.errors import SettingsError
from base.near_names import near_or_all
from base.text import one_line
from runtime.network.backends import BackendName, Provider, parse_device
from runtime.settings.config_values import in_short, read_table, typed
from runtime.settings.face_rules import beside
from runtime.settings.per_face import WHOLE_PHOTO
from runtime.settings.presets import PRESETS
from runtime.settings.settings import SETTINGS, RestoreSettings

Changes = dict[str, Any]
"""Settings that differ from a preset or the defaults, by the names of RestoreSettings; each within its
range."""

RUN: dict[str, Any] = {
    "preset": str,
    "model_path": str,
    "size": int,
    "channel_multiplier": int,
    "backend": BackendName,
    "device": str,
    "provider": Provider,
    "detector": str,
    "recogniser": str,
    "photo_network": str,
    "threads": int,
    "memory": float,
}
"""Keys that a file may have besides settings, each with its type."""

PATHS = ("model_path", "detector", "recogniser", "photo_network")


@dataclass(frozen=True)
class FaceWish:
    """The entry of a config file for one face."""

    restore: bool = True
    """False excludes the face."""
    preset: str | None = None
    """Preset that replaces all settings of the other faces; None starts from those."""
    changes: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """The content of a config file; all fields are empty if the file is."""

    changes: Changes = field(default_factory=dict)
    """Settings of all faces, on top of the preset."""
    presets: Mapping[str, Changes] = field(default_factory=lambda: PRESETS)
    """The changes of each preset to the defaults, for the built-in presets and the file's own."""
    by_face: Mapping[int, FaceWish] = field(default_factory=dict)
    """Entries by the index of the face; 0 is the largest."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Values of the keys in RUN; paths are relative to the file's folder."""
    file: str = ""
    """The file's name, for error messages."""


def read_config(path: Path) -> Config:
    """Read a config file, TOML or JSON by its suffix.

    Raises SettingsError, whose message names the file, the key and the expected value.
    """
    table = read_table(path)
    with _within(one_line(path)):
        presets = PRESETS | _presets(table.pop("presets", {}))
        faces = _single_faces(table.pop("faces", []))
        run = {name: typed(name, table.pop(name), RUN[name]) for name in RUN if name in table}
        _check_preset(run, presets)
        check_run(run.get("device"), run.get("threads"), run.get("memory"))
        if "face" in table:
            table["face"] = beside(typed("face", table["face"], SETTINGS["face"].hint), path.parent)
        run |= {name: _found_from(path.parent, name, run[name]) for name in PATHS if name in run}
        changes = _changes(table, beside=[*RUN, "presets", "faces"])
        return Config(changes, presets, _by_face(faces, presets), run, one_line(path))


def read_settings(table: Mapping[str, Any]) -> RestoreSettings:
    """Return the settings in a table that is like the one of a config file, with an optional key `preset`.

    table  settings on top of the named built-in preset, or of the defaults; as in JSON, a whole number may
           stand for a float and a list for a tuple

    Raises SettingsError, whose message names the key, for unknown names, wrong types and values out of range.
    """
    changes = dict(table)
    run = {"preset": typed("preset", changes.pop("preset", "standard"), str)}
    _check_preset(run, PRESETS)
    return RestoreSettings(**(PRESETS[run["preset"]] | _changes(changes, beside=["preset"])))


def check_run(device: str | None, threads: int | None, memory: float | None) -> None:
    """Raise SettingsError if a given device, number of threads or memory limit is invalid."""
    if device is not None:
        parse_device(device)
    if threads is not None and threads < 1:
        raise SettingsError(f"threads is {threads}: give 1 or more")
    if memory is not None and not 0 < memory < math.inf:
        raise SettingsError(f"memory is {memory}: give GB, more than 0")


@contextmanager
def _within(place: str) -> Iterator[None]:
    """Prefix errors raised in the block with the part of the file that they concern."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from error.__cause__


def _presets(tables: Any) -> dict[str, Changes]:
    """Return the changes of each preset in the file to the defaults, including those of its base."""
    typed("presets", tables, dict)
    own: dict[str, Changes] = {}
    base: dict[str, str] = {}
    for name, table in tables.items():
        with _within(f"presets.{one_line(name)}"):
            if name in PRESETS:
                raise SettingsError("there is a built-in preset of this name: give it another")
            table = dict(typed("it", table, dict))
            if "based_on" in table:
                base[name] = typed("based_on", table.pop("based_on"), str)
            own[name] = _changes(table, beside=["based_on"])
    return {name: _with_base(name, own, base) for name in own}


def _with_base(name: str, own: dict[str, Changes], base: dict[str, str]) -> Changes:
    line = [name]
    while line[-1] in base:
        below = base[line[-1]]
        with _within(f"presets.{one_line(line[-1])}"):
            if below not in PRESETS | own:
                raise SettingsError(_no_such("preset", below, PRESETS | own, "based_on"))
            if below in line:
                raise SettingsError(f"based_on is {in_short(below)}, which is based on this one")
        line.append(below)
    changes: Changes = {}
    for each in reversed(line):
        changes |= (PRESETS | own)[each]
    return changes


def _by_face(tables: Iterable[Any], presets: Mapping[str, Changes]) -> dict[int, FaceWish]:
    wishes: dict[int, FaceWish] = {}
    for i, table in enumerate(tables):
        with _within(f"faces[{i}]"):
            table = dict(typed("it", table, dict))
            if "face" not in table:
                raise SettingsError("face is missing: give the index of the face, 0 being the largest")
            face = typed("face", table.pop("face"), int)
            if face < 0:
                raise SettingsError(f"face is {face}: give the index of the face, 0 being the largest")
            if face in wishes:
                raise SettingsError(f"face {face} has settings above: merge the two")
            wishes[face] = _wish(table, presets)
    return wishes


def _wish(table: dict[str, Any], presets: Mapping[str, Changes]) -> FaceWish:
    run = {
        name: typed(name, table.pop(name), hint)
        for name, hint in (("preset", str), ("restore", bool))
        if name in table
    }
    _check_preset(run, presets)
    changes = _changes(table, beside=["face", "preset", "restore"])
    for name in WHOLE_PHOTO:
        if name in changes:
            raise SettingsError(f"{name} concerns the whole photo: a face cannot have its own")
        if "preset" in run and name in presets[run["preset"]]:
            raise SettingsError(
                f"preset {in_short(run['preset'])} sets {name}, which concerns the whole photo"
            )
    return FaceWish(run.get("restore", True), run.get("preset"), changes)


def _check_preset(run: Mapping[str, Any], presets: Mapping[str, Changes]) -> None:
    if "preset" in run and run["preset"] not in presets:
        raise SettingsError(_no_such("preset", run["preset"], presets, "preset"))


def _changes(table: Mapping[str, Any], beside: list[str]) -> Changes:
    """Return a table's settings. Raises SettingsError for keys that are not settings.

    beside  other keys that it may hold, for the error message
    """
    changes = {}
    for name, value in table.items():
        if name not in SETTINGS:
            raise SettingsError(_no_such("setting", name, [*SETTINGS, *beside]))
        changes[name] = _in_range(name, typed(name, value, SETTINGS[name].hint))
    return changes


def _in_range(name: str, value: Any) -> Any:
    try:
        SETTINGS[name].check(value)
    except SettingsError as error:
        raise error if name in str(error) else SettingsError(f"{name}: {error}") from None
    return value


def _no_such(kind: str, name: str, known: Iterable[str], key: str = "") -> str:
    """Return the error for an unknown name, with the most similar known name or all of them."""
    given = f"{key} is {in_short(name)}: there is no such {kind}" if key else f"no {kind} {in_short(name)}"
    return f"{given}; {near_or_all(name, known)}"


def _single_faces(faces: Any) -> list[Any]:
    """Return the tables of `[[faces]]`; anything but a table was probably meant for the setting `face`."""
    if not isinstance(faces, list) or (faces and not any(isinstance(face, dict) for face in faces)):
        raise SettingsError(
            f"faces is {in_short(faces)}: give [[faces]], a table for each face with settings of its own; "
            "the setting face chooses which are restored"
        )
    return faces


def _found_from(folder: Path, name: str, given: str) -> str:
    """Resolve a path in the file; if nothing exists there, it may be the name of a bundled package."""
    try:
        os.fsencode(given)
    except UnicodeEncodeError:
        given = "\0"
    if not given or "\0" in given:
        raise SettingsError(f"{name} cannot be a path: give the path of a file or folder")
    beside = folder / given
    return str(beside) if beside.exists() else given
