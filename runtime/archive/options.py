"""The options of `python -m runtime.archive`."""

import re
from dataclasses import dataclass

from base.command_parser import CommandParser
from base.errors import SettingsError
from base.setting import Range, add_options, option
from base.text import one_line
from runtime.commands.options import add_config, add_machine, add_settings
from runtime.commands.photo_options import PhotoOptions


def _range(text: str) -> tuple[int, int]:
    """Read `4` or `2-16`."""
    found = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", text.strip())
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most:
        raise SettingsError(f"--actors is {one_line(text)}: give a number, or the least and the most: 2-16")
    return least, most


@dataclass(frozen=True)
class ArchiveOptions:
    """The photos to restore, and the machines and processes that restore them."""

    limit: int | None = option(None, "Restore only the first N photos by name.", range=Range(1), metavar="N")
    dry_run: bool = option(
        False, "Write nothing: count the photos, restore a sample, and estimate the time for all of them."
    )
    sample: int = option(200, "Number of photos in the sample of --dry-run.", range=Range(1), metavar="N")
    address: str | None = option(
        None,
        "The Ray cluster: its address, or auto on one of its machines. (default: Ray on this machine)",
        metavar="ADDRESS",
    )
    actors: tuple[int, int] | None = option(
        None,
        "Processes that restore photos. (default: as many as the CPUs allow)",
        parse=_range,
        metavar="N|MIN-MAX",
    )
    cpus: float = option(
        1,
        "CPUs for each actor; also its number of threads, unless --threads sets that.",
        range=Range(0, above=True),
        metavar="N",
    )
    gpus: float = option(0, "GPUs for each actor; with 0.25, four share one.", range=Range(0), metavar="N")


def parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m runtime.archive",
        usage="%(prog)s SOURCE -o SINK [OPTION ...]",
        description="Restore an archive of photos on a Ray cluster, or with Ray on this machine. The same "
        "command again continues a run that was stopped.",
    )
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="The folder of the photos, with its subfolders: a path, or a URI such as s3://bucket/scans.",
    )
    add(
        "-o",
        "--output",
        required=True,
        metavar="SINK",
        help="The folder of the results, also a path or a URI: a new one, or that of the run to continue.",
    )
    add_options(parser, ArchiveOptions)
    add_options(parser, PhotoOptions)
    add_config(parser)
    add_settings(parser)
    add_machine(parser)
    return parser
