"""`python -m runtime.archive SOURCE -o SINK`: restore an archive of photos with Ray; see `command`."""

import sys

from base.command_line import needs_extra, run
from runtime.archive.options import parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return run(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    options = parser().parse_args(arguments)
    with needs_extra("archive", "python -m runtime.archive"):
        from runtime.archive.command import archive
    return archive(options)


if __name__ == "__main__":
    sys.exit(main())
