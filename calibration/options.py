"""Options that the commands share: the portraits and how the networks run; and the samples they name."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.command_line import progress_bar
from base.setting import Range, option
from calibration.samples import Sample, samples
from portraits.reading import LEAST, pictures_in
from runtime.faces.detect import Detector, open_detector


@dataclass(frozen=True)
class Portraits:
    """The portraits, and how the networks run."""

    images: Path = option(None, "Folder of photos with at least 8 faces.", required=True, metavar="DIR")
    aligned: bool = option(False, "The pictures are square crops, already aligned for the network.")
    detector: Path | None = option(
        None, "YuNet face detector to use instead of CenterFace.", metavar="YUNET.onnx"
    )
    seed: int = option(0, "Seed for the damage that is applied to the portraits.", range=Range(0))
    threads: int | None = option(
        None, "CPU threads for the networks. (default: one per core)", range=Range(1), metavar="N"
    )


def limit(default: int) -> Any:
    """Return the option that limits how many portraits of a large folder are used."""
    return option(default, "Largest number of faces to use.", range=Range(LEAST), metavar="N")


def detector_of(options: argparse.Namespace) -> Detector | None:
    """Return the face detector; None if the pictures are aligned crops."""
    return None if options.aligned else open_detector(options.detector, threads=options.threads)


@contextmanager
def samples_of(options: argparse.Namespace, size: int, what: str) -> Iterator[Iterator[Sample]]:
    """Yield samples of the portraits, with a progress bar.

    options  from `Portraits`, and `portraits`, the largest number of faces
    size     S of the package
    what     is done with them, for the progress bar

    Raises PhotoError.
    """
    detector = detector_of(options)
    total = min(options.portraits, len(pictures_in(options.images, least=LEAST)))
    with progress_bar(what, total) as tick:
        yield samples(options.images, size, detector, limit=options.portraits, seed=options.seed, tick=tick)
