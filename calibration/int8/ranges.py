"""Candidates for the range of a tensor in INT8, and their errors.

A range is symmetric: ±T maps to ±127, and values beyond are clipped. A small T clips, a large one rounds
coarsely. Each method finds its own balance; the best one for a tensor is determined by measurement.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

Values = NDArray[np.float32]

LEVELS = 127
TAKEN = 1 << 14
"""Number of values kept per portrait, evenly spaced."""
PERCENTILES = (99.9, 99.99, 99.999)
BINS = 512
"""Bins of the histogram for the entropy, over −max to max."""
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
    """Return the range with the smallest loss of information, by ONNX Runtime's search."""
    counts, edges = np.histogram(np.concatenate([values, -values]), BINS, (-largest, largest))
    collector = HistogramCollector("entropy", True, BINS, 128, 99.99, "same")
    histogram = (counts, edges.astype(np.float32), np.float32(-largest), np.float32(largest))
    return float(abs(collector.get_entropy_threshold(histogram, 128)[1]))
