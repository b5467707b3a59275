"""Which faces are restored: all, by place, by number, or by rules that go together."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import SettingsError
from base.text import one_line

FaceChoice = str | tuple[int, ...]
"""A text such as `largest,min=48px`, or indices in order of size, where 0 is the largest."""

ALLOWED = (
    "give all, largest, centre, numbers such as 0,2 (0 is the largest face), or rules such as "
    "min=48px, max=400px, sharper<0.6, person=FILE"
)
_PERSON = "person="


@dataclass(frozen=True)
class FaceRules:
    """Conditions on a face to be restored. It must satisfy all that are given, and be one of the named
    faces."""

    numbers: tuple[int, ...] = ()
    largest: bool = False
    centre: bool = False
    least: float = 0.0
    """Width in photo pixels."""
    most: float = math.inf
    sharper: float | None = None
    """Only faces less sharp than this are restored."""
    person: Path | None = None
    """A photo of the only person to be restored."""

    @property
    def is_by_rule(self) -> bool:
        """Whether there are rules besides places and numbers."""
        return self != FaceRules(self.numbers, self.largest, self.centre)


def parse_faces(text: str) -> FaceChoice:
    """Read the value of `--face`: numbers become a tuple, all else stays text. Raises SettingsError."""
    rules = read_rules(text)
    return rules.numbers if rules.numbers and rules == FaceRules(rules.numbers) else text.strip()


def read_rules(choice: FaceChoice) -> FaceRules:
    """Return the rules of a choice of faces. Raises SettingsError if it cannot be read."""
    if isinstance(choice, tuple):
        return FaceRules(choice)
    found: dict[str, Any] = {}
    for item in _items(choice):
        name, value = _read(item, choice)
        if name == "numbers":
            found[name] = (*found.get(name, ()), value)
            continue
        if name in found:
            raise SettingsError(f"--face {one_line(choice)}: {one_line(item)} is given twice")
        found[name] = value
    found.pop("all", None)
    rules = FaceRules(**found)
    if rules.least > rules.most:
        raise SettingsError(
            f"--face {one_line(choice)}: no face is at least {rules.least:g} and at most {rules.most:g} wide"
        )
    return rules


def _items(text: str) -> Iterator[str]:
    """Yield the parts between commas; the path of `person=` extends to the end."""
    before, person, path = text.partition(_PERSON)
    yield from (item.strip() for item in before.rstrip(" ,").split(",") if before.strip() or not person)
    if person:
        yield person + path.strip()


def _read(item: str, whole: str) -> tuple[str, Any]:
    if item in ("all", "largest", "centre", "center"):
        return item.replace("center", "centre"), True
    if item.isascii() and item.isdigit():
        return "numbers", int(item)
    for start, name in (("min=", "least"), ("max=", "most")):
        if item.startswith(start):
            return name, _number(item.removeprefix(start).removesuffix("px"), item, 1, math.inf)
    if item.startswith("sharper<"):
        return "sharper", _number(item.removeprefix("sharper<"), item, 0, 1)
    if item.startswith(_PERSON) and len(item) > len(_PERSON) and "\0" not in item:
        return "person", Path(item.removeprefix(_PERSON))
    raise SettingsError(f"--face {one_line(whole)}: {ALLOWED}")


def _number(text: str, item: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (low <= value <= high and math.isfinite(value)):
        wanted = (
            f"a number from {low:g} to {high:g}" if high < math.inf else f"a number of pixels from {low:g}"
        )
        raise SettingsError(f"--face {one_line(item)}: give {wanted}")
    return value


def check_face(chosen: Any) -> None:
    """Raise SettingsError unless the value of the setting `face` can be read."""
    if isinstance(chosen, tuple):
        if chosen and all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in chosen):
            return
    elif isinstance(chosen, str):
        try:
            read_rules(chosen)
        except SettingsError as error:
            raise SettingsError(f"face is {one_line(repr(chosen))}: {error}") from None
        return
    raise SettingsError(f"face is {one_line(repr(chosen))}: {ALLOWED}")


def fewer(choice: FaceChoice) -> FaceChoice | None:
    """Return a choice without its highest number; None if it names no other face."""
    numbers = sorted(read_rules(choice).numbers)[:-1]
    if isinstance(choice, tuple):
        return tuple(numbers) or None
    others = [item for item in _items(choice) if not item.isdigit()]
    return ",".join([*map(str, numbers), *others]) if numbers else None


def beside(choice: FaceChoice, folder: Path) -> FaceChoice:
    """Return a choice whose `person=FILE` is relative to a folder."""
    if not isinstance(choice, str) or _PERSON not in choice:
        return choice
    before, _, path = choice.partition(_PERSON)
    return f"{before}{_PERSON}{folder / path.strip()}"
