"""The options of a benchmark: each field of its settings, declared once with its default and help text."""

import argparse
from collections.abc import Callable
from dataclasses import field, fields
from typing import Any, TypeVar

Settings = TypeVar("Settings")


def option(default: Any, about: str, *flags: str, **more: Any) -> Any:
    """Return a field of a settings class that is an option of the command, `--NAME`.

    about  its help text, in full sentences; the parser adds the default
    flags  further names; a name without dashes makes it an argument instead
    more   what `add_argument` takes besides: `type`, `nargs`, `metavar`
    """
    return field(default=default, metadata={"about": about, "flags": flags, "more": more})


def model(about: str = "Use this package in place of the bundled default.") -> Any:
    """Return the option that names a package: its folder, or a bundled name."""
    return option(None, about, "--model", metavar="PACKAGE")


def add_options(parser: argparse.ArgumentParser, settings: type) -> None:
    """Declare the options of a settings class."""
    for each in fields(settings):
        flags, more, about = (each.metadata[key] for key in ("flags", "more", "about"))
        if isinstance(each.default, bool):
            parser.add_argument(_flag(each.name), action="store_true", help=about)
        elif flags and not flags[0].startswith("-"):
            parser.add_argument(each.name, default=each.default, help=about, **{"nargs": "?"} | more)
        else:
            default: Any = each.default
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else ""
            shown = f" (default: {shown})" if shown else ""
            names = (*flags, _flag(each.name))
            parser.add_argument(*names, dest=each.name, default=each.default, help=about + shown, **more)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def settings_of(options: argparse.Namespace, settings: type[Settings]) -> Settings:
    """Return the settings from parsed options."""
    names = [each.name for each in fields(settings)]  # type: ignore[arg-type]
    return settings(**{name: getattr(options, name) for name in names})


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def between(least: float, most: float) -> Callable[[str], float]:
    """Return a parser for numbers from `least` to `most`."""

    def number(text: str) -> float:
        if not least <= float(text) <= most:
            raise argparse.ArgumentTypeError(f"must be between {least:g} and {most:g}")
        return float(text)

    return number


def listed(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """Return a parser for several values: `1,5,29`."""

    def several(text: str) -> tuple[Any, ...]:
        return tuple(read(each.strip()) for each in text.split(","))

    return several
