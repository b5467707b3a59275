"""Which values of a tensor INT8 should span: candidates from its values, and their error.

A range is symmetric: ±T maps to ±127, and what lies beyond is clipped. A small T clips, a large one rounds
coarsely. Each method settles that in its own way; which is best for a tensor is measured, not believed.
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
"""Values of a tensor that are kept of a portrait, evenly spread."""
PERCENTILES = (99.9, 99.99, 99.999)
BINS = 512
"""Of the histogram that the entropy is measured on, over −max to max."""
TRIED = np.linspace(0.15, 1, 64)
"""Shares of the largest value among which the least mean square error is looked for."""
TINY = np.float32(1e-6)
"""The least range: of a tensor that is zero."""


@dataclass(eq=False)
class Seen:
    """What is kept of a tensor's values: the largest, and a sample of the others."""

    largest: np.float32 = TINY
    kept: list[Values] = field(default_factory=list)

    def add(self, values: NDArray[Any]) -> None:
        """Take in a tensor's values for one portrait."""
        flat = np.abs(values.reshape(-1)).astype(np.float32)
        self.largest = max(self.largest, flat.max())
        stride = max(1, len(flat) // TAKEN) | 1  # odd, so that it meets every column of a picture
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
    """Return the mean square error of values in INT8 with a range."""
    return float(np.square(values - rounded(values, top)).mean(dtype=np.float64))


def rounded(values: Values, top: float) -> Values:
    """Return values as INT8 of a range holds them."""
    scale = np.float32(top / LEVELS)
    return np.asarray(np.clip(np.rint(values / scale), -LEVELS, LEVELS) * scale, np.float32)


def rounded_weights(weights: Values) -> Values:
    """Return a kernel, outputs×…, as INT8 holds it with a range for each output channel."""
    tops = np.abs(weights).reshape(len(weights), -1).max(1)
    scales = (np.maximum(tops, TINY) / LEVELS).reshape(-1, *[1] * (weights.ndim - 1)).astype(np.float32)
    return np.asarray(np.rint(weights / scales) * scales, np.float32)


def best(tops: dict[str, float], error_of: Callable[[float], float]) -> tuple[str, float]:
    """Return method and range of the least error; of equal ones the first."""
    errors = {top: error_of(top) for top in dict.fromkeys(tops.values())}
    method = min(tops, key=lambda name: errors[tops[name]])
    return method, tops[method]


def _entropy(values: Values, largest: float) -> float:
    """Return the range that loses least information, by ONNX Runtime's search."""
    counts, edges = np.histogram(np.concatenate([values, -values]), BINS, (-largest, largest))
    collector = HistogramCollector("entropy", True, BINS, 128, 99.99, "same")
    histogram = (counts, edges.astype(np.float32), np.float32(-largest), np.float32(largest))
    return float(abs(collector.get_entropy_threshold(histogram, 128)[1]))
