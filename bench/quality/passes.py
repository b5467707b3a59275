"""Restore with a given number of network passes: `standard`, cut short."""

from dataclasses import replace
from math import inf

from engines.package import Manifest
from runtime.faces.face import Face
from runtime.network.schedule import MOST
from runtime.pixels import Pixels
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.presets import preset
from runtime.settings.settings import RestoreSettings


def methods_by_passes(package: Manifest) -> dict[int, str]:
    """Return the methods that differ only in passes, by their largest number of passes.

    Each is `standard` with the same κ. A package whose latent is held always takes one pass.
    """
    if package.holds_latent:
        return {1: "standard"}
    return {1: "1 pass", 2: "2 passes", 3: "3 passes", MOST: "standard"}


def settings_of(method: str) -> RestoreSettings:
    """Return the settings of a preset, or of `1 pass`, `2 passes`, …, without a time limit."""
    return replace(preset("standard" if _passes(method) else method), budget=inf)


def restored(
    restorer: Restorer, photo: Pixels, method: str, found: tuple[Face, ...] | None = None
) -> RestoreResult:
    """Restore a photo with a preset, or with `1 pass`, `2 passes`, …, without a time limit.

    found  its faces, if they have already been detected
    """
    own = restorer.most_passes
    try:
        restorer.most_passes = _passes(method) or own
        return restorer.restore(photo, settings_of(method), found=found)
    finally:
        restorer.most_passes = own


def _passes(method: str) -> int | None:
    number = method.split()[0]
    return int(number) if number.isdigit() else None
