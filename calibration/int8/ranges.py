"""Candidates for the range of a tensor in INT8, and their errors.

A range is symmetric: ±T maps to ±127, and values beyond are clipped. A small T clips, a large one rounds
coarsely. Each method finds its own balance; the best one for a tensor is determined by measurement.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

LEVELS = 127
TAKEN = 1 << 14
"""Number of values kept per portrait, evenly spaced."""
PERCENTILES = (99.9, 99.99, 99.999)
BINS = 512
"""Bins of the histogram for the entropy, over −max to max."""
GROUPS = 128
"""Groups that the bins are merged into: one for each size in INT8."""
SMOOTHED = 1e-4
"""Count given to an empty bin."""
TRIED = np.linspace(0.15, 1, 64)
"""Shares of the largest value that are tried for the smallest mean squared error."""
TINY = np.float32(1e-6)
"""The smallest range, for a tensor of zeros."""


@dataclass(eq=False)
class Seen:
    """A summary of a tensor's values: the largest, and a sample of the others."""

    largest: np.float32 = TINY
    kept: list[Values] = field(default_factory=list)

    def add(self, values: NDArray[Any]) -> None:
        """Add a tensor's values for one portrait."""
        flat = np.abs(values.reshape(-1)).astype(np.float32)
        self.largest = max(self.largest, flat.max())
        stride = max(1, len(flat) // TAKEN) | 1  # odd, so that it visits every column of a picture
        self.kept.append(flat[::stride].copy())


def candidates(seen: Seen) -> dict[str, float]:
    """Return a range T for each method: minmax, percentile-…, entropy and mse."""
    values = np.concatenate(seen.kept)
    found = {"minmax": float(seen.largest)}
    for percentile in PERCENTILES:
        found[f"percentile-{percentile}"] = float(np.percentile(values, percentile))
    found["entropy"] = _entropy(values, float(seen.largest))
    tried = [float(share * seen.largest) for share in TRIED]
    found["mse"] = min(tried, key=lambda top: error(values, top))
    return {method: max(top, float(TINY)) for method, top in found.items()}


def error(values: Values, top: float) -> float:
    """Return the mean squared error of values in INT8 with a range."""
    return float(np.square(values - rounded(values, top)).mean(dtype=np.float64))


def rounded(values: Values, top: float) -> Values:
    """Return values after rounding to INT8 with a range."""
    scale = np.float32(top / LEVELS)
    return np.asarray(np.clip(np.rint(values / scale), -LEVELS, LEVELS) * scale, np.float32)


def rounded_weights(weights: Values) -> Values:
    """Return a kernel, outputs×…, after rounding to INT8 with a range for each output channel."""
    tops = np.abs(weights).reshape(len(weights), -1).max(1)
    scales = (np.maximum(tops, TINY) / LEVELS).reshape(-1, *[1] * (weights.ndim - 1)).astype(np.float32)
    return np.asarray(np.rint(weights / scales) * scales, np.float32)


def best(tops: dict[str, float], error_of: Callable[[float], float]) -> tuple[str, float]:
    """Return method and range of the smallest error; the first if several are equal."""
    errors = {top: error_of(top) for top in dict.fromkeys(tops.values())}
    method = min(tops, key=lambda name: errors[tops[name]])
    return method, tops[method]


def _entropy(values: Values, largest: float) -> float:
    """Return the range with the smallest loss of information, by the search of TensorRT's calibrator.

    Values are counted in BINS bins. For each range, all counts beyond it are added to its last bins, and
    compared, by their Kullback-Leibler divergence, with what is left when its bins are merged into GROUPS.

    Source: Migacz, "8-bit inference with TensorRT", GTC 2017; as in ONNX Runtime's HistogramCollector, whose
    loops in Python take most of the time of a conversion.
    """
    counts, edges = np.histogram(np.concatenate([values, -values]), BINS, (-largest, largest))
    middle = BINS // 2
    reaches = range(GROUPS // 2, middle + 1)
    losses = [_loss(counts, middle - reach, min(middle + reach + 1, BINS)) for reach in reaches]
    reach = reaches[int(np.argmin(losses))]
    return min(float(np.float32(edges[min(middle + reach + 1, BINS)])), largest)


def _loss(counts: NDArray[np.int64], start: int, end: int) -> float:
    """Return the divergence of the bins from start to end, with all beyond them, from their groups."""
    inside = counts[start:end]
    clipped = inside.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[end:].sum()
    width = len(inside) // GROUPS
    whole = GROUPS * width
    sums = inside[:whole].reshape(GROUPS, width).sum(1)
    sums[-1] += inside[whole:].sum()
    filled = (clipped[:whole] != 0).reshape(GROUPS, width).sum(1)
    spread = np.zeros_like(clipped)
    spread[:whole] = np.repeat(sums // np.maximum(filled, 1) * (filled > 0), width)
    if not spread.any():
        return float("inf")
    p, q = (_smooth(each) for each in (clipped, spread))
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def _smooth(counts: NDArray[np.int64]) -> Values:
    """Return counts without zeros: each has a ten-thousandth, taken from the others in equal parts."""
    empty = counts == 0
    share = SMOOTHED * empty.sum() / (~empty).sum()
    return counts.astype(np.float32) + np.where(empty, SMOOTHED, -share).astype(np.float32)
