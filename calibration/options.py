"""Options that the commands share: the portraits and how the networks run."""

import argparse
from pathlib import Path

from base.errors import SettingsError
from runtime.faces.detect import Detector, open_detector


def add_portraits(parser: argparse.ArgumentParser) -> None:
    """Add the options for the portraits and for running the networks."""
    add = parser.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="Folder of photos with at least 8 faces.")
    add(
        "--aligned",
        action="store_true",
        help="The pictures are square crops, already aligned for the network.",
    )
    add(
        "--detector",
        type=Path,
        metavar="YUNET.onnx",
        help="YuNet face detector to use instead of CenterFace.",
    )
    add("--seed", type=int, default=0, help="Seed for the damage that is applied to the portraits.")
    add("--threads", type=int, metavar="N", help="CPU threads for the networks. (default: one per core)")


def add_limit(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the option that limits how many portraits of a large folder are used."""
    about = "Largest number of faces to use."
    parser.add_argument("--portraits", type=int, default=default, metavar="N", help=about)


def check(options: argparse.Namespace, *, least: int = 1) -> None:
    """Raise SettingsError if a number is out of range.

    least  smallest number of portraits
    """
    if options.threads is not None and options.threads < 1:
        raise SettingsError(f"--threads {options.threads}: give 1 or more")
    if options.seed < 0:
        raise SettingsError(f"--seed {options.seed}: give 0 or more")
    if getattr(options, "portraits", least) < least:
        raise SettingsError(f"--portraits {options.portraits}: give {least} or more")


def detector_of(options: argparse.Namespace) -> Detector | None:
    """Return the face detector; None if the pictures are aligned crops."""
    return None if options.aligned else open_detector(options.detector, threads=options.threads)
