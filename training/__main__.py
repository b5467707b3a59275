"""`python -m training`: train the bundled weights; see `training.command`."""

import sys

from base import command_line


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    with command_line.needs_extra("training", "python -m training"):
        from training.command import run
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
