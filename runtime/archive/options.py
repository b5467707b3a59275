"""The options of `python -m runtime.archive`."""

import argparse
import re
from typing import Any

from base.command_parser import CommandParser
from base.errors import UsageError
from base.text import one_line
from runtime.commands.options import (
    add_accept_damaged,
    add_config,
    add_machine,
    add_max_megapixels,
    add_privacy,
    add_settings,
)


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
    add("--limit", type=int, metavar="N", help="Restore only the first N photos by name.")
    add(
        "--dry-run",
        action="store_true",
        help="Write nothing: count the photos, restore a sample, and estimate how long all take.",
    )
    add("--sample", type=int, default=200, metavar="N", help="Photos in the sample of --dry-run.")
    group = parser.add_argument_group("on what it runs")
    group.add_argument(
        "--address",
        metavar="ADDRESS",
        help="The Ray cluster: its address, or auto on one of its machines. (default: Ray on this machine)",
    )
    group.add_argument(
        "--actors",
        type=_range,
        metavar="N|MIN-MAX",
        help="Processes that restore photos. (default: as many as the CPUs allow)",
    )
    group.add_argument(
        "--cpus",
        type=float,
        default=1,
        metavar="N",
        help="CPUs of each, and its threads unless --threads says otherwise.",
    )
    group.add_argument(
        "--gpus", type=float, default=0, metavar="N", help="GPUs of each; 0.25 has four share one."
    )
    add_max_megapixels(parser)
    add_accept_damaged(parser)
    add_privacy(parser)
    add_config(parser)
    add_settings(parser)
    add_machine(parser)
    return parser


def check(options: argparse.Namespace) -> None:
    """Raise UsageError for a number that makes no sense."""
    limits: dict[str, tuple[float, bool]] = {
        "limit": (1, True),
        "sample": (1, True),
        "cpus": (0, False),
        "gpus": (0, True),
    }
    for name, (least, allowed) in limits.items():
        given: Any = getattr(options, name)
        if given is not None and not (given >= least if allowed else given > least):
            raise UsageError(
                f"--{name} is {given}: give {f'{least:g} or more' if allowed else 'more than 0'}"
            )


def _range(text: str) -> tuple[int, int]:
    """Read `4` or `2-16`."""
    found = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", text.strip())
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most:
        raise argparse.ArgumentTypeError(f"{one_line(text)}: give a number, or the least and the most: 2-16")
    return least, most
