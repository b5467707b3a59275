"""Measure whether the loop gains by moving the latent, and record it in the package."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from base.files import write_json
from calibration.latents import gain
from engines.package import MANIFEST, Latents, Package
from portraits.reading import LEAST, check_count, crops_of, pictures_in
from runtime.faces.detect import Detector
from runtime.network.backends import Backend
from runtime.pixels import Crop


@dataclass(frozen=True)
class Statistics:
    """Statistics of the latent over portraits."""

    portraits: int
    gain_of_moving: float
    """dB, by moving the latent in the loop; in the renewed loop, by its later passes."""

    @property
    def held(self) -> bool:
        """Return whether the loop should keep the first latent, unless it is the renewed loop."""
        return self.gain_of_moving < -gain.TOLERATED


def measure(
    backend: Backend,
    size: int,
    folder: Path,
    detector: Detector | None,
    *,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Statistics:
    """Restore damaged faces of a folder, the first gain.PORTRAITS, with the latent moved and held.

    size      S of the package
    detector  None if the pictures are aligned crops
    tick      called for each picture, and gain.STEPS times more

    Raises PhotoError if there are too few faces.
    """
    portraits: list[Crop] = []
    for path in pictures_in(folder, least=LEAST):
        if len(portraits) < gain.PORTRAITS:
            portraits += crops_of(path, size, detector)
        tick()
    check_count(folder, len(portraits))
    chosen = np.stack(portraits[: gain.PORTRAITS])
    return Statistics(len(chosen), gain.gain_of_moving(backend, chosen, seed, tick))


def write(package: Package, found: Statistics) -> None:
    """Write the results into a package's manifest, replacing older ones.

    Raises PhotoError if the package's folder cannot be written.
    """
    held = found.held and package.manifest.loop_kind != "renewed"
    latents = Latents(found.portraits, round(found.gain_of_moving, 2), held)
    write_json(package.folder / MANIFEST, replace(package.manifest, latents=latents))
