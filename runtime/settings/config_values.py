"""Parse a config file, and convert its values to the types of settings."""

import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from base.errors import SettingsError
from base.text import cause_of, listed, one_line

LARGEST_FILE = 1 << 16
LONGEST_LINE = 1000
"""Longest line in TOML; a key of thousands of parts would take the parser minutes."""
LARGEST_INTEGER = 2**31 - 1
SHOWN = 40
"""Number of characters of a wrong value that an error shows."""

_WORDS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    dict: "a table",
}


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML or JSON file whose outermost value is a table.

    Raises SettingsError if the file cannot be read, is too large or is malformed. Duplicate keys and, in
    JSON, NaN and infinities are refused.
    """
    name = one_line(path)
    readers = {".toml": _from_toml, ".json": _from_json}
    if path.suffix.lower() not in readers:
        raise SettingsError(
            f"the config file {name} is neither TOML nor JSON: end its name in .toml or .json"
        )
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise SettingsError(f"the config file {name} cannot be read: {cause_of(error)}") from error
    if len(data) > LARGEST_FILE:
        raise SettingsError(
            f"the config file {name} is larger than {LARGEST_FILE} bytes: is it the right one?"
        )
    try:
        table = readers[path.suffix.lower()](data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SettingsError(f"the config file {name} is not UTF-8 text: save it in that encoding") from None
    except RecursionError:
        raise SettingsError(f"the config file {name} is nested too deeply") from None
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: an integer of thousands of digits
        raise SettingsError(f"the config file {name} is not understood: {cause_of(error)}") from error
    if not isinstance(table, dict):
        raise SettingsError(f"the config file {name} holds {in_short(table)}: give a table of settings")
    return table


def _from_toml(text: str) -> Any:
    if any(len(line) > LONGEST_LINE for line in text.splitlines()):
        raise ValueError(f"a line is longer than {LONGEST_LINE} characters")
    return msgspec.toml.decode(text)


def _from_json(text: str) -> Any:
    # msgspec silently keeps the last of two values with the same key.
    return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refused)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is there twice")
    return table


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def typed(name: str, value: Any, hint: Any) -> Any:
    """Convert a value to the type of a setting: a whole number to a float, a list to a tuple.

    name  name of the setting, for the error
    hint  float, int, bool, str, dict, a Literal, a tuple or a mapping of these, or a union of such

    Raises SettingsError if the value has another type.
    """
    try:
        converted = msgspec.convert(value, hint)
    except (msgspec.ValidationError, ValueError, OverflowError, RecursionError):
        raise SettingsError(f"{name} is {in_short(value)}: give {in_words(hint)}") from None
    for number in converted if isinstance(converted, tuple) else (converted,):
        if isinstance(number, int) and abs(number) > LARGEST_INTEGER:
            raise SettingsError(f"{name} is far too large: give {in_words(hint)} that makes sense")
    return converted


def in_words(hint: Any) -> str:
    """Describe the values of a type for a user: `1, 2 or 4`, `a table of numbers`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return listed(map(repr, inner), "or")
    if origin in (Union, types.UnionType):
        return listed([in_words(choice) for choice in inner if choice is not type(None)], "or")
    if origin in (tuple, list):
        return f"a list of {in_words(inner[0]).removeprefix('a ')}s"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a table of {in_words(inner[1]).removeprefix('a ')}s"
    return _WORDS.get(hint, "another value")


def in_short(value: Any) -> str:
    """Return the beginning of a value as written in the file, for an error message."""
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return "a very large number"
    text = one_line(repr(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
