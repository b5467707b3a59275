"""What the commands have in common: options, and values that argparse reads."""

import argparse
from pathlib import Path

from bench.report import RESULTS


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the results go."""
    parser.add_argument(
        "-o", "--output", type=Path, default=RESULTS, help="folder of the results (%(default)s)"
    )


def add_portraits(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the options that say which portraits a package is measured on."""
    how_many = "?" if optional else None
    parser.add_argument("portraits", type=Path, nargs=how_many, help="folder of square, aligned portraits")
    parser.add_argument("--package", type=Path, help="measure this package instead of the bundled default")
    parser.add_argument("--first", type=int, default=0, help="leave out the portraits before this one (0)")


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def counts(text: str) -> tuple[int, ...]:
    """Read whole numbers of at least 1: `1,5,29`."""
    return tuple(positive(number) for number in text.split(","))


def name_list(text: str) -> tuple[str, ...]:
    """Read names: `static,openvino`."""
    return tuple(name.strip() for name in text.split(","))
