"""`python -m runtime.commands.options_page`: print docs/options.md, from settings, presets and parsers."""

import argparse
import sys
from collections.abc import Iterable, Iterator

import engines.__main__
from base.command_parser import help_of
from runtime import check, watch
from runtime.archive import options as archive_options
from runtime.commands import options
from runtime.settings.presets import IN_THE_REST, PRESETS, PURPOSES
from runtime.settings.resolved import written
from runtime.settings.settings import SETTINGS

HEAD = """# Options

Made by `make docs` from the settings, presets and commands themselves; do not edit. `--help` of each command
says the same. The command line wins over the config file, the file over the preset.
"""

SETTINGS_HEAD = """
## Settings

Each is an option of `runtime.restore` and `runtime.watch`, a key of config files, a field of
`RestoreSettings` and a key of `runtime.read_settings`, all under one name: `--latent-step-decay` is
`latent_step_decay`. In `[[faces]]` of a config file a single face may have its own value, except for those
marked "whole photo". Switches that a preset turns on are turned off with `--no-…`, such as `--no-grain`.
"""

PRESETS_HEAD = """
## Presets

`--preset NAME` starts from these settings; a config file can define more, based on them.
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD, SETTINGS_HEAD, *_settings(), PRESETS_HEAD, *_presets()]
    commands = (options.parser(), watch.parser(), archive_options.parser(), check.parser())
    for parser in (*commands, *_subparsers(engines.__main__.parser())):
        parts += [f"\n## {parser.prog}\n", f"{parser.description}\n", *_options(parser)]
    return "\n".join(parts)


def _settings() -> Iterator[str]:
    rows = [
        (
            f"`{each.flag}{f' {each.metavar}' if each.metavar else ''}`",
            each.limits.removeprefix("one of ") or ("on or off" if each.kind == "switch" else ""),
            written(each.default, each.name),
            f"{each.help}{' *(whole photo)*' if each.scope == 'photo' else ''}",
        )
        for each in SETTINGS.values()
    ]
    return _table(("option", "values", "default", "what it does"), rows)


def _presets() -> Iterator[str]:
    rows = [
        (
            f"`{name}`",
            PURPOSES[name],
            IN_THE_REST[name],
            ", ".join(f"`{key} = {written(value, key)}`" for key, value in changes.items()) or "the defaults",
        )
        for name, changes in PRESETS.items()
    ]
    return _table(("preset", "for", "the rest of the photo, with `--scope photo`", "settings"), rows)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Return a table of a command's options, without the settings if it takes all of them."""
    names = {action.dest for action in parser._actions}
    known = {"help", "version", *(SETTINGS if names.issuperset(SETTINGS) else ())}
    rows = [
        (f"`{_invocation(action)}`", help_of(parser, action))
        for action in parser._actions
        if action.help and action.dest not in known
    ]
    return _table(("option", "what it does"), rows) if rows else iter(())


def _invocation(action: argparse.Action) -> str:
    metavar = action.metavar or "|".join(map(str, action.choices or ())) or action.dest
    if isinstance(metavar, tuple):
        metavar = f"{' '.join(metavar)} …"
    value = "" if action.nargs == 0 else str(metavar)
    return f"{', '.join(action.option_strings)} {value}".strip()


def _subparsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
