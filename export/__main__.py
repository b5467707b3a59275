"""`python -m export`: make a model package from a checkpoint; see `export.command`."""

import sys

from base import command_line


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["triton"]:  # needs no PyTorch
        from export.triton.command import export_repository

        return export_repository(arguments[1:])
    with command_line.needs_extra("export", "python -m export"):
        from export.command import export
    return export(arguments)


if __name__ == "__main__":
    sys.exit(main())
