"""Protocol buffers as text, the format of Triton's `config.pbtxt`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


class Name(str):
    """The name of an enumeration's value, which is written without quotes."""

    __slots__ = ()


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message as text.

    message  fields by name: text in ASCII, numbers, switches, names, messages, and lists of these for
             repeated fields; a map is a list of messages of `key` and `value`. None leaves a field out.
    """
    return "".join(f"{line}\n" for line in _lines(message))


def map_of(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a map as `text_of` expects it."""
    return [{"key": key, "value": value} for key, value in values.items()]


def _lines(message: Mapping[str, Any]) -> Iterator[str]:
    for name, given in message.items():
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(value, Mapping):
                yield f"{name} {{"
                yield from (f"  {line}" for line in _lines(value))
                yield "}"
            elif value is not None:
                yield f"{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    return str(value) if isinstance(value, Name) else json.dumps(value)
