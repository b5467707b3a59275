"""`python -m calibration latents|audit|int8 PACKAGE --images DIR`: measure a package on portraits."""

import sys
from importlib import import_module

from base import command_line
from base.command_parser import CommandParser

COMMANDS = {
    "latents": "Measure whether the loop gains by updating the latent.",
    "audit": "Show the size of intermediate values, and which layers half precision would break.",
    "int8": "Make an INT8 package, with as much of the arithmetic in INT8 as picture quality allows.",
}
"""Each is the module `command` in a folder of this name."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    parser = CommandParser(prog="python -m calibration", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about)
        if name in arguments:  # the others may need libraries that are not installed
            with command_line.needs_extra("calibration", f"python -m calibration {name}"):
                module = import_module(f"calibration.{name}.command")
            module.add_options(command)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
