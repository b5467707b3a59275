"""Histogram of a tensor's magnitudes, accumulated over pictures in a fixed few kilobytes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 8
"""Bins per octave: the first three bits of the mantissa."""
_SHIFT = 23 - 3
_BINS = 256 * STEPS
_BIAS = 127
_AT_ONCE = 1 << 20


@dataclass(eq=False)
class Magnitudes:
    """The magnitudes of values seen so far: a histogram whose bins are an eighth of an octave wide."""

    count: int = 0
    zeros: int = 0
    broken: int = 0
    """Infinities and NaNs."""
    largest: float = 0.0
    """Of the finite ones."""
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    """Counts of the finite nonzero values."""

    def add(self, values: NDArray[Any]) -> None:
        """Add values of any shape, FP16 or FP32."""
        flat = np.ascontiguousarray(values).reshape(-1)
        for start in range(0, len(flat), _AT_ONCE):
            self._add(np.abs(flat[start : start + _AT_ONCE].astype(np.float32, copy=False)))

    def _add(self, part: NDArray[np.float32]) -> None:
        # Sign, exponent and mantissa of a float are stored in this order, so its leading bits are its
        # position on a logarithmic scale.
        found = np.bincount(part.view(np.uint32) >> np.uint32(_SHIFT), minlength=_BINS)[:_BINS]
        self.count += len(part)
        zeros = len(part) - int(np.count_nonzero(part))
        self.zeros += zeros
        found[0] -= zeros
        self.broken += int(found[-STEPS:].sum())
        found[-STEPS:] = 0
        self.bins += found
        largest = float(part.max(initial=0))
        if not np.isfinite(largest):
            largest = float(part[np.isfinite(part)].max(initial=0))
        self.largest = max(self.largest, largest)

    @property
    def nonzero(self) -> int:
        """Number of finite nonzero values."""
        return int(self.bins.sum())

    def quantile(self, share: float) -> float:
        """Return the magnitude below which that share of the nonzero values lies, to within an eighth."""
        if not self.nonzero:
            return 0.0
        index = int(np.searchsorted(self.bins.cumsum(), share * self.nonzero, side="left"))
        return min(_edge(index + 1), self.largest)

    def share_below(self, power: int) -> float:
        """Return the share of the nonzero values below 2**power."""
        return float(self.bins[: (power + _BIAS) * STEPS].sum() / max(1, self.nonzero))

    def octaves(self) -> dict[int, int]:
        """Return how many values lie in [2**k, 2**(k + 1)), by k."""
        counts = self.bins.reshape(-1, STEPS).sum(1)
        return {int(k) - _BIAS: int(counts[k]) for k in np.flatnonzero(counts)}


def _edge(index: int) -> float:
    """Return the lower bound of a bin."""
    exponent, step = divmod(index, STEPS)
    return float(2.0 ** (exponent - _BIAS) * (1 + step / STEPS))
