"""Restoring with a given number of passes of the network: `standard`, with another pass threshold."""

from dataclasses import replace
from math import inf

from engines.package import Manifest
from runtime.faces.face import Face
from runtime.pixels import Pixels
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.presets import preset
from runtime.settings.settings import RestoreSettings

STANDARD_PASSES = 5
"""What `standard` takes at most: it takes fewer where the loop settles earlier."""


def methods_by_passes(package: Manifest) -> dict[int, str]:
    """Return the methods that differ in passes only, by the passes that they take at most.

    Each is `standard`, whose κ is the same. A package whose latent is held takes one pass, whatever is asked.
    """
    if package.holds_latent:
        return {1: "standard"}
    return {1: "1 pass", 2: "2 passes", 3: "3 passes", STANDARD_PASSES: "standard"}


def epsilon_for(passes: int) -> float:
    """Return the pass threshold that lets the steps of `standard` take so many passes, 1 to 5."""
    return 1 / passes


def settings_of(method: str) -> RestoreSettings:
    """Return the settings of a preset, or of `1 pass`, `2 passes`, …, with all the time they need."""
    return replace(preset("standard" if _passes(method) else method), budget=inf)


def restored(
    restorer: Restorer, photo: Pixels, method: str, found: tuple[Face, ...] | None = None
) -> RestoreResult:
    """Restore a photo with a preset, or with `1 pass`, `2 passes`, …, however long it takes.

    found  its faces, where they have been detected already
    """
    own, passes = restorer.epsilon, _passes(method)
    try:
        restorer.epsilon = epsilon_for(passes) if passes else own
        return restorer.restore(photo, settings_of(method), found=found)
    finally:
        restorer.epsilon = own


def _passes(method: str) -> int | None:
    number = method.split()[0]
    return int(number) if number.isdigit() else None
