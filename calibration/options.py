"""Options that the commands share: the portraits and how the networks run."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import PackageError
from base.setting import Range, option
from engines.package import PHOTO, Package, open_package
from portraits.reading import LEAST
from runtime.faces.detect import Detector, open_detector


def open_face_package(where: str) -> Package:
    """Open a package by its folder or bundled name. Raises PackageError if it is not one for faces."""
    package = open_package(where)
    if package.manifest.kind == PHOTO:
        raise PackageError(
            f"package {package.folder} restores the rest of a photo and has no INT8 form, which would be 43 "
            "dB from FP32, too far for clean photos, and no faster than bf16 on a CPU: for GPUs make an FP16 "
            "one with `python -m export photo --precision fp16`"
        )
    return package


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
