"""Declaration of a setting, from which flags, config files, range errors, docs and forms are derived.

A field made by `setting` is a setting of the restoration, one made by `option` is an option of a command.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from base.errors import SettingsError
from base.text import listed, one_line

if TYPE_CHECKING:
    import argparse

Settings = TypeVar("Settings")
Scope = Literal["photo", "loop", "face", "run"]
"""What a setting belongs to.

- `photo`: the whole photo; a single face cannot have its own value.
- `loop`: one face; the network reads it, so only faces that agree on it go through together.
- `face`: one face; it is used before or after the network.
- `run`: one run of a command, which alone knows it.
"""

Kind = Literal["switch", "choice", "number", "whole number", "other"]
"""The kinds of form fields: a checkbox, a list, a number, or text."""


@dataclass(frozen=True)
class Range:
    """The numbers that a setting accepts."""

    low: float
    high: float = math.inf
    besides: Mapping[float, str] = field(default_factory=dict)
    """Further single numbers that are allowed outside low to high, each with its meaning."""
    above: bool = False
    """Whether the number must be greater than `low`."""

    def __contains__(self, value: Any) -> bool:
        """Return whether a number lies in the range; NaN does not."""
        inside = self.low < value if self.above else self.low <= value
        return value in self.besides or (inside and value <= self.high)

    def __str__(self) -> str:
        """Return the range in words: `0.3 to 1.2, or 0 for none`."""
        least = f"more than {self.low:g}" if self.above else f"{self.low:g}"
        upper = f" to {self.high:g}" if self.high < math.inf else "" if self.above else " or more"
        return least + upper + "".join(f", or {number:g} for {what}" for number, what in self.besides.items())


@dataclass(frozen=True)
class Setting:
    """Everything that is declared about a setting."""

    name: str
    hint: Any
    """Its type."""
    default: Any
    scope: Scope
    help: str
    """Help text in full sentences, for the user."""
    range: Range | None = None
    """Allowed range of the number, or of each number in a table or a tuple."""
    unit: str = ""
    names: tuple[str, ...] = ()
    """The keys of a table."""
    none: str = ""
    """The meaning of a missing value, in the user's words, if that is the default."""
    bare: Any = None
    """The value of its option if none follows it; None requires one."""
    metavar: str = ""
    """Placeholder for the value in the command line's help."""
    flags: tuple[str, ...] = ()
    """Names on the command line in place of its own; one without dashes makes it a positional argument."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `add_argument`, such as `nargs`."""
    step: Any = None
    """The finishing step that a switch turns on, see `runtime/finish/steps.py`."""
    why: str = ""
    """Why the range is limited; added to the error message."""
    parse: Callable[[str], Any] | None = None
    """Parses the value from the command line, if the type alone does not determine how."""
    validate: Callable[[Any], None] | None = None
    """Raises SettingsError for an invalid value, if type and range do not suffice to detect it."""

    @property
    def flag(self) -> str:
        """Return the setting's command-line option."""
        return self.flags[0] if self.flags else "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[Any, ...]:
        """Return the values to choose from; empty if there are too many to list."""
        if get_origin(self.hint) is Literal:
            return get_args(self.hint)
        kinds = [hint for hint in get_args(self.hint) if hint is not type(None)]
        return get_args(kinds[0]) if len(kinds) == 1 and get_origin(kinds[0]) is Literal else ()

    @property
    def kind(self) -> Kind:
        """Return the kind of form field that suits it."""
        kinds: dict[Any, Kind] = {bool: "switch", int: "whole number", float: "number"}
        return "choice" if self.choices else kinds.get(self._type, "other")

    @property
    def _type(self) -> Any:
        """Return the type of a value other than None."""
        hint, *others = [hint for hint in get_args(self.hint) if hint is not type(None)] or [self.hint]
        return hint if not others and type(None) in get_args(self.hint) else self.hint

    @property
    def _each(self) -> "Setting | None":
        """Return the setting of a single value, if there may be several: `tuple[X, ...]`."""
        several = get_origin(self.hint) is tuple and get_args(self.hint)[1:] == (...,)
        return replace(self, hint=get_args(self.hint)[0]) if several else None

    def check(self, value: Any) -> None:
        """Raise SettingsError if the value is not allowed."""
        given = f"{self.flag if self.scope == 'run' else self.name} is {_shown(value)}"
        if value is None and self.default is None:
            return
        if self.validate:
            self.validate(value)
        elif self._each and isinstance(value, tuple):
            for each in value:
                self._each.check(each)
        elif self.choices and value not in self.choices:
            raise SettingsError(f"{given}: give {_listed(self.choices)}")
        elif self.kind == "switch" and value not in (True, False):
            raise SettingsError(f"{given}: give true or false")
        elif self.kind in ("number", "whole number"):
            whole = self.kind == "whole number"
            if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
                wanted = f"a {'whole ' * whole}number{(self.range and f', {self.range}') or ''}"
                bare = "" if self.bare is None else f", or put {self.flag} without one after the photos"
                raise SettingsError(f"{given}: give {wanted}{bare}")
            if self.range and value not in self.range:
                unit, why = self.unit and f" {self.unit}", self.why and f"; {self.why}"
                raise SettingsError(f"{given}{unit}: give {self.range}{why}")

    def read(self, text: str) -> Any:
        """Read and check a value from text, as the command line or a form gives it. Raises SettingsError."""
        value = self.parse(text) if self.parse else self._read(text.strip())
        self.check(value)
        return value

    def _read(self, text: str) -> Any:
        if self.kind == "switch":
            return {"true": True, "on": True, "false": False, "off": False}.get(text.lower(), text)
        if self.choices:
            return {str(choice): choice for choice in self.choices}.get(text, text)
        if self._each:
            return tuple(self._each.read(part) for part in text.split(","))
        try:
            return self._type(text)
        except ValueError:
            return text

    @property
    def limits(self) -> str:
        """Return the allowed values in words; empty for a switch."""
        if self.choices:
            return _listed(self.choices)
        return f"{self.range}{self.unit and f' {self.unit}'}" if self.range else ""


def setting(default: Any, scope: Scope, help: str, **about: Any) -> Any:
    """Declare a field of RestoreSettings.

    default  a value, or a type that makes one when it is called
    about    further fields of Setting
    """
    declared = {"scope": scope, "help": help, **about}
    if isinstance(default, type):
        return field(default_factory=default, metadata=declared)
    return field(default=default, metadata=declared)


def option(default: Any, help: str, *flags: str, **about: Any) -> Any:
    """Declare a field of the options of a command.

    flags  its names in place of `--NAME`; a name without dashes makes it an argument instead
    about  further fields of Setting, and what `add_argument` takes besides: `nargs`, `required`
    """
    more = {name: about.pop(name) for name in ("nargs", "required") if name in about}
    return setting(default, "run", help, flags=flags, more=more, **about)


def add_options(group: "argparse._ActionsContainer", settings: type, only: Collection[str] = ()) -> None:
    """Add an option for each field of a dataclass that `option` made, or only for some."""
    for each in declared(settings).values():
        if only and each.name not in only:
            continue
        about = each.help.replace("%", "%%")
        if each.kind == "switch":
            names = each.flags or (each.flag,)
            group.add_argument(*names, dest=each.name, action="store_true", help=about)
            continue
        default: Any = each.default
        if isinstance(default, tuple) and default:
            about += f" (default: {','.join(map(str, default))})"
        item = each._each if "nargs" in each.more else None
        how: dict[str, Any] = {"default": default, "type": (item or each).read, "help": about, **each.more}
        how["metavar"] = each.metavar or "|".join(map(str, each.choices)) or None
        if each.flag.startswith("-"):
            group.add_argument(*each.flags or (each.flag,), dest=each.name, **how)
        else:
            group.add_argument(each.name, **{"nargs": "?", **how, "metavar": each.flag})


def options_of(given: "argparse.Namespace", settings: type[Settings], **more: Any) -> Settings:
    """Return the options of a dataclass from parsed arguments.

    more  its fields that are not options
    """
    found = {name: getattr(given, name) for name in declared(settings)}
    return settings(**{n: tuple(v) if isinstance(v, list) else v for n, v in found.items()}, **more)


def declared(settings: type) -> dict[str, Setting]:
    """Return the settings that a dataclass declares, by name; other fields are left out."""
    hints = get_type_hints(settings)
    found = {}
    for each in fields(settings):
        if not each.metadata:
            continue
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        found[each.name] = Setting(each.name, hints[each.name], default, **each.metadata)
    return found


def _shown(value: Any) -> str:
    """Return a value as an error shows it, on one line."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return one_line(repr(value))


def _listed(choices: tuple[Any, ...]) -> str:
    if all(isinstance(choice, str) for choice in choices):
        return f"one of {', '.join(choices)}"
    return listed(choices, "or")
