"""Check in ONNX Runtime that a package computes the same as the published network, before it is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto
from torch import Tensor

from base.errors import GpenEdgeError
from engines.package import GraphName
from engines.portrait import portraits
from export.restoring import Expected, RestoringNetwork, expected
from export.rounding import rounding_session

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


def measure(
    models: dict[GraphName, ModelProto],
    network: RestoringNetwork,
    tolerance: float = TOLERANCE,
    batches: tuple[int, ...] = (1, 2),
    *,
    renewed: bool = False,
) -> dict[GraphName, Parity]:
    """Compare every graph with the published network, as `compare` does.

    renewed  whether the step is that of the renewed loop
    """
    return compare(models, partial(expected, network, renewed=renewed), network.size, tolerance, batches)


def compare(
    models: dict[GraphName, ModelProto],
    expected_of: Callable[[Tensor], Expected],
    size: int,
    tolerance: float = TOLERANCE,
    batches: tuple[int, ...] = (1, 2),
) -> dict[GraphName, Parity]:
    """Compare every graph with the published network's results.

    expected_of  returns those for crops, B×3×S×S in [−1, 1]
    size         S
    batches      B of each comparison, 2 at most

    Raises GpenEdgeError if a graph differs by more than the tolerance or returns non-finite values.
    """
    sessions = {name: _session(model) for name, model in models.items()}
    random, real = (
        _differences(sessions, expected_of, crops, batches) for crops in (noise(size), portrait(size))
    )
    result = {name: Parity(random[name], real[name]) for name in models}
    for name, parity in result.items():
        worst = max(parity.random, parity.real)
        if not worst <= tolerance:
            raise GpenEdgeError(
                f"the {name} graph differs from the published network by {worst:.1e}, "
                f"more than {tolerance:.0e}, the tolerance for its precision: nothing was written"
            )
    return result


def _differences(
    sessions: dict[GraphName, onnxruntime.InferenceSession],
    expected_of: Callable[[Tensor], Expected],
    crops: Tensor,
    batches: tuple[int, ...],
) -> dict[GraphName, float]:
    worst = dict.fromkeys(sessions, 0.0)
    for batch in batches:
        for name, (inputs, wanted) in expected_of(crops[:batch]).items():
            if name in sessions:
                found = sessions[name].run(None, {key: value.numpy() for key, value in inputs.items()})
                errors = [_relative(a, b.numpy()) for a, b in zip(found, wanted, strict=True)]
                worst[name] = max(worst[name], *errors)
    return worst


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


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer):
        return rounding_session(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
