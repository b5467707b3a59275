"""Check in ONNX Runtime that a package computes the same as the published network, before it is kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from base.errors import GpenEdgeError
from engines.package import GraphName
from engines.portrait import portraits
from export.restoring import Expected
from export.rounding import Session, rounding_session, session_of

TOLERANCE = 1e-4
"""Largest allowed difference of an FP32 graph, relative to the largest value if that exceeds 1."""

HALVED_TOLERANCE = 1e-2
"""The same for a graph whose weights are stored as FP16: each is off by up to 2⁻¹¹ of itself."""

HALF_TOLERANCE = 1e-2
"""The same for a graph that computes in FP16."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """The largest differences of one graph from the published network."""

    random: float
    """over noise"""
    real: float
    """over a portrait"""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Compares graphs, one by one, with the published network's results for noise and for a portrait."""

    expected: Expected
    """Of a batch of two: noise, then the portrait."""
    tolerance: float = TOLERANCE
    batch: Literal[1] | None = None
    """The only batch size that the graphs accept; with None they are given both crops at once."""
    halved: bool = False
    """Whether the graphs have FP16 values, which are then rounded at every node."""

    def __call__(self, name: GraphName, file: Path) -> Parity:
        """Compare a graph that is in a file.

        Raises GpenEdgeError if it differs by more than the tolerance or returns non-finite values.
        """
        inputs, wanted = self.expected[name]
        session = rounding_session(onnx.load(file)) if self.halved else session_of(file)
        batches = (slice(0, 1), slice(1, 2)) if self.batch else (slice(0, 2),)
        differences = [worst for part in batches for worst in _differences(session, inputs, wanted, part)]
        if not max(differences) <= self.tolerance:
            raise GpenEdgeError(
                f"the {name} graph differs from the published network by {max(differences):.1e}, "
                f"more than {self.tolerance:.0e}, the tolerance for its precision: nothing was written"
            )
        random, real = differences
        return Parity(random, real)


def crops(size: int) -> Tensor:
    """Return the crops that graphs are compared on: noise and the portrait, 2×3×S×S in [−1, 1]."""
    return torch.cat((noise(size)[:1], portrait(size)[:1]))


def _differences(
    session: Session, inputs: dict[str, Tensor], wanted: list[Tensor], part: slice
) -> list[float]:
    """Return the largest difference of each crop of a part of the batch."""
    found = session.run(None, {name: value[part].numpy() for name, value in inputs.items()})
    pairs = [(a, b[part].numpy()) for a, b in zip(found, wanted, strict=True)]
    return [max(_relative(a[i], b[i]) for a, b in pairs) for i in range(len(pairs[0][0]))]


def _relative(found: Array, wanted: Array) -> float:
    """Return the largest difference relative to the largest value or to 1; infinity if not finite."""
    if not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def noise(size: int) -> Tensor:
    """Return fixed noise, 2×3×S×S in [−1, 1]."""
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def portrait(size: int) -> Tensor:
    """Return the portrait of `engines.portrait` and its mirror image, 2×3×S×S in [−1, 1]."""
    return torch.from_numpy(portraits(size))
