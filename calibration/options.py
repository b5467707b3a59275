"""What the commands have in common: which portraits, and how far they are."""

import argparse
from pathlib import Path

from base.errors import SettingsError
from runtime.faces.detect import Detector, open_detector


def add_portraits(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which portraits, and how the networks run."""
    add = parser.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="folder of photos with 8 faces or more")
    add(
        "--aligned",
        action="store_true",
        help="the pictures are square crops, aligned as the network has them",
    )
    add("--detector", type=Path, metavar="YUNET.onnx", help="a YuNet face detector in place of CenterFace")
    add("--seed", type=int, default=0, help="of the damage that is done to the portraits (0)")
    add("--threads", type=int, metavar="N", help="CPU threads for the networks, in place of one per core")


def add_limit(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the option that says how many portraits of a large folder are taken."""
    about = f"faces that are taken of a larger folder ({default})"
    parser.add_argument("--portraits", type=int, default=default, metavar="N", help=about)


def check(options: argparse.Namespace, *, least: int = 1) -> None:
    """Raise SettingsError when a number is out of range.

    least  of the portraits
    """
    if options.threads is not None and options.threads < 1:
        raise SettingsError(f"--threads {options.threads}: give 1 or more")
    if options.seed < 0:
        raise SettingsError(f"--seed {options.seed}: give 0 or more")
    if getattr(options, "portraits", least) < least:
        raise SettingsError(f"--portraits {options.portraits}: give {least} or more")


def detector_of(options: argparse.Namespace) -> Detector | None:
    """Return what finds the faces; None where the pictures are aligned crops."""
    return None if options.aligned else open_detector(options.detector)
