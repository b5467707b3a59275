"""The degradations that benchmarks use: a fixed table, from light to heavy."""

from dataclasses import dataclass

import numpy as np

from base.errors import SettingsError
from portraits.damage import Portrait, Ranges, through_chain
from portraits.damage import degrade as degrade_at_random

RANGES = Ranges(untouched=0.0)
"""The training ranges, without the share of undamaged crops."""


@dataclass(frozen=True)
class Degradation:
    """One degradation; its fields are in the order in which they are applied."""

    name: str
    blur: float = 0.0
    """σ of a Gaussian blur, in pixels of a 512-px crop; larger or smaller crops scale it."""
    shrink: float = 1.0
    """Factor by which the picture is shrunk; it is enlarged at the end."""
    noise: float = 0.0
    """σ of white noise on the small picture, in 8-bit levels."""
    jpeg: int | None = None
    """JPEG quality of the small picture; None leaves it uncompressed."""
    ranges: Ranges | None = None
    """If given, the damage is drawn from these ranges instead."""


UNDEGRADED = "undegraded"
"""The portrait as it is."""

DEGRADATIONS = (
    Degradation(UNDEGRADED),
    Degradation("nearly-clean", blur=0.8, noise=1, jpeg=95),
    Degradation("blur-light", blur=2),
    Degradation("blur-medium", blur=4),
    Degradation("blur-heavy", blur=8),
    Degradation("noise-light", blur=1, noise=5),
    Degradation("noise-medium", blur=1, noise=12),
    Degradation("noise-heavy", blur=1, noise=25),
    Degradation("jpeg-light", jpeg=75),
    Degradation("jpeg-medium", jpeg=45),
    Degradation("jpeg-heavy", jpeg=20),
    Degradation("low-resolution-light", shrink=2),
    Degradation("low-resolution-medium", shrink=4),
    Degradation("low-resolution-heavy", shrink=8),
    Degradation("mixed-light", blur=1.5, noise=3, jpeg=80),
    Degradation("mixed-medium", blur=3, shrink=2, noise=6, jpeg=75),
    Degradation("mixed-heavy", blur=5, shrink=4, noise=12, jpeg=60),
    Degradation("training-range", ranges=RANGES),
)

MIXED = ("mixed-light", "mixed-medium", "mixed-heavy")

NAMES = tuple(degradation.name for degradation in DEGRADATIONS)

TEXTURE = ("nearly-clean", "mixed-light", "noise-medium", "blur-heavy", "training-range")
"""The degradations on which the controls are judged."""


def named(names: tuple[str, ...]) -> tuple[Degradation, ...]:
    """Return degradations by name, in the order of the table. Raises SettingsError for an unknown name."""
    for name in names:
        if name not in NAMES:
            raise SettingsError(f"there is no degradation {name!r}: give some of {', '.join(NAMES)}")
    return tuple(degradation for degradation in DEGRADATIONS if degradation.name in names)


def degrade(truth: Portrait, degradation: Degradation, portrait: int) -> Portrait:
    """Return a damaged copy; the same portrait always gives the same result.

    truth     S×S×3 uint8, RGB
    portrait  its number, which seeds its noise
    """
    if degradation.ranges:
        return degrade_at_random(truth, np.random.default_rng((0, portrait)), degradation.ranges)
    rng = np.random.default_rng((portrait, *degradation.name.encode()))
    size = len(truth)
    small_size = max(8, round(size / degradation.shrink))
    noise = rng.normal(0, degradation.noise, (small_size, small_size, 3)) if degradation.noise else 0.0
    blur = degradation.blur * size / 512
    return through_chain(truth.astype(np.float32), blur, small_size, noise, degradation.jpeg)
