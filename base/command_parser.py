"""The argument parser of all commands: one-line errors, help with defaults, and --version."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from base.errors import UsageError
from base.near_names import near_or_all, nearest
from base.text import one_line
from base.version import installed_version

SHOWN = 40
"""The most characters of a wrong argument that an error shows."""
_NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises UsageError where argparse would print the full usage and exit."""

    def __init__(self, **options: Any) -> None:
        """Create a parser; subcommands use this class too.

        options  of argparse.ArgumentParser; if no `usage` is given, help shows only the positional arguments
                 and `[OPTION ...]`
        """
        super().__init__(formatter_class=_Formatter, add_help=False, **options)
        self.add_argument("-h", "--help", action="help", help="Show this help.")
        self.add_argument("--version", action=_ShowVersion)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Read arguments. Raises UsageError for any that are unknown, here and in subcommands."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown[0]))
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{one_line(message)}; see {self.prog} --help")

    def _unknown(self, argument: str) -> str:
        if not argument.startswith("-"):
            return f"unexpected argument {_cut(argument)}"
        name = argument.partition("=")[0]
        near = nearest(name, [each for each in self._option_string_actions if each.startswith("--")])
        return f"unknown option {_cut(name)}" + (f": did you mean {near}?" if near else "")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Refuse `-`, since no command reads standard input or writes files to standard output, and an empty
        value, as of an unset variable of a shell, since an empty path is the current folder.
        """
        if action.nargs != argparse.PARSER:
            if arg_string == "-":
                raise _wrong(action, "-: give a name; standard input and output cannot be used")
            if not arg_string.strip():
                raise _wrong(action, "empty: give a value")
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            if action.type not in _NUMBERS:
                raise
            raise _wrong(action, f"{_cut(repr(arg_string))}: give {_NUMBERS[action.type]}") from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = near_or_all(str(value), map(str, action.choices))
            raise _wrong(action, f"{_cut(repr(value))}: {known}")


def help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return the help text of an option on one line, with its default, as --help shows it."""
    return _Formatter(parser.prog)._expand_help(action)


def _wrong(action: argparse.Action, what: str) -> argparse.ArgumentError:
    """Return the error for an argument that is `what`."""
    name = "/".join(action.option_strings) or action.metavar or action.dest
    return argparse.ArgumentError(None, f"{name} is {what}")


def _cut(argument: str) -> str:
    return one_line(argument if len(argument) <= SHOWN else f"{argument[:SHOWN]}…")


class _Formatter(argparse.HelpFormatter):
    """Shows a short usage, and the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text, default = action.help or "", action.default
        if not action.option_strings or default in (None, (), [], argparse.SUPPRESS) or default is False:
            return text
        if "(default: " in text:
            return text
        return f"{text} (default: {f'{default:g}' if isinstance(default, float) else default})"

    def _format_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None) -> str:
        if usage is None and prefix is None:  # with a prefix it is the name of a subcommand
            named = [each for each in actions if not each.option_strings or each.required]
            placed = super()._format_usage(None, named, [], prefix)
            return placed.replace(self._prog, f"{self._prog} [OPTION ...]", 1)
        return super()._format_usage(usage, actions, groups, prefix)


class _ShowVersion(argparse.Action):
    """Print the version and end."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="Show the version.")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"gpen-edge {installed_version()}", file=sys.stdout)  # noqa: T201
        parser.exit()
