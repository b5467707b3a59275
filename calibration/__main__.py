"""`python -m calibration latents|audit|int8 PACKAGE --images DIR`: measure a package on portraits."""

import sys

from base import command_line
from base.command_parser import CommandParser
from calibration.audit.command import add_audit
from calibration.int8.command import add_int8
from calibration.latents.command import add_latents


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    parser = CommandParser(prog="python -m calibration", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (add_latents, add_audit, add_int8):
        add(commands)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
