"""Check whether half precision is safe for a package, from the size of every value between crop and picture.

FP16 ends at 65504, and below 2⁻¹⁴ its numbers lose digits until they vanish. Two conversions are judged:

- a plain one, which casts everything unchanged: every value of an FP32 package must fit;
- the FP16-safe form (`python -m export --precision fp16`), which divides styles and kernels so that sums fit
  whatever the weights, and clamps stored values to ±CLAMP: activations must be smaller than that. An FP16
  package already has this form; its own FP16 values are judged.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from calibration.audit.magnitudes import Magnitudes
from calibration.samples import Sample
from calibration.watching import See, in_pieces, resolutions_of, run_through, shapes_of, unpacked
from engines.package import RESTORING, GraphName, Package
from export.rounding import rounded

LARGEST = 65504.0
"""The largest FP16 number."""
NORMAL = -14
"""The smallest normal FP16 number is two to this power."""
CLAMP = 1000.0
"""The FP16-safe form clamps stored activations to this (export/half.py)."""
NEAR = 2.0
"""Octaves: a value closer than this to the largest number might exceed it for another picture."""
QUANTILES = (0.01, 0.5, 0.99, 0.999)

Verdict = Literal["overflows", "near", "vanishes", "clamped", "fits"]
"""vanishes: 99 % of the nonzero values lie below the smallest normal number."""
RISKS: tuple[Verdict, ...] = ("overflows", "clamped", "near", "vanishes")
"""The worst first."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A node's output, or a constant."""

    graph: GraphName
    node: str
    """Name of the node that computes it, or of the constant."""
    layer: str
    """The part of the network it belongs to, by resolution: "64×64"; "latent" if there is no picture."""
    operation: str
    """Of the node; "constant"."""
    dtype: str
    shape: tuple[int, ...]
    """For a batch of one; empty if unknown."""
    seen: Magnitudes
    plain: Verdict | None
    """Risk in a plain FP16 conversion; None if the package is not FP32."""
    safe: Verdict | None
    """Risk in the FP16-safe form; None if that rescales the value or keeps it FP32."""

    @property
    def headroom(self) -> float:
        """Octaves between the largest magnitude and the largest FP16 number; infinite for zeros."""
        return math.log2(LARGEST / self.seen.largest) if self.seen.largest else math.inf

    @property
    def below_normal(self) -> float:
        """Share of the nonzero values below the smallest normal FP16 number."""
        return self.seen.share_below(NORMAL)


@dataclass(frozen=True, eq=False)
class Audit:
    """The results of an audit."""

    package: str
    precision: str
    portraits: int
    tensors: tuple[Tensor, ...]
    """In the order of the graphs."""

    def at_risk(self, form: Literal["plain", "safe"]) -> list[Tensor]:
        """Return the tensors at risk in a form, worst first."""
        found = [tensor for tensor in self.tensors if getattr(tensor, form) in RISKS]
        return sorted(found, key=lambda tensor: (RISKS.index(getattr(tensor, form)), tensor.headroom))


def audit(package: Package, samples: Iterable[Sample], *, threads: int = 0) -> Audit:
    """Run samples through a package and judge every floating-point intermediate value and constant."""
    models = {name: unpacked(onnx.load(str(package.graph(name)))) for name in RESTORING}
    half = package.manifest.precision == "fp16"
    graphs = {
        name: in_pieces(rounded(model) if half else model, threads=threads) for name, model in models.items()
    }
    seen: dict[GraphName, dict[str, Magnitudes]] = {name: {} for name in RESTORING}
    kinds: dict[GraphName, dict[str, str]] = {name: {} for name in RESTORING}
    portraits = 0
    for sample in samples:
        run_through(graphs, sample, _collector(seen, kinds))
        portraits += 1
    precision = package.manifest.precision
    tensors = [
        tensor
        for name, model in models.items()
        for tensor in (*_constants(name, model, precision), *_values(name, model, seen, kinds, precision))
    ]
    return Audit(package.manifest.name, precision, portraits, tuple(tensors))


def _collector(seen: dict[GraphName, dict[str, Magnitudes]], kinds: dict[GraphName, dict[str, str]]) -> See:
    def see(graph: GraphName, name: str, values: NDArray[Any]) -> None:
        if values.dtype.kind == "f":
            seen[graph].setdefault(name, Magnitudes()).add(values)
            kinds[graph][name] = str(values.dtype)

    return see


def _values(
    graph: GraphName,
    model: ModelProto,
    seen: dict[GraphName, dict[str, Magnitudes]],
    kinds: dict[GraphName, dict[str, str]],
    precision: str,
) -> Iterable[Tensor]:
    shapes, resolutions = shapes_of(model), resolutions_of(model)
    for node in model.graph.node:
        for name in node.output:
            if name in seen[graph]:
                found, dtype, shape = seen[graph][name], kinds[graph][name], shapes.get(name, ())
                stored = node.op_type == "LeakyRelu" and len(shape) == 4
                yield Tensor(
                    graph,
                    node.name or name,
                    _layer(resolutions.get(name)),
                    node.op_type,
                    dtype,
                    shape,
                    found,
                    _plain(found) if precision == "fp32" else None,
                    _safe(found, dtype, precision, stored=stored),
                )


def _constants(graph: GraphName, model: ModelProto, precision: str) -> Iterable[Tensor]:
    resolutions = resolutions_of(model)
    for constant in model.graph.initializer:
        if constant.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
            values = numpy_helper.to_array(constant)
            found = Magnitudes()
            found.add(values)
            dtype = str(values.dtype)
            yield Tensor(
                graph,
                constant.name,
                _layer(resolutions.get(constant.name)),
                "constant",
                dtype,
                tuple(values.shape),
                found,
                _plain(found) if precision == "fp32" else None,
                _safe(found, dtype, precision, stored=False),
            )


def _layer(resolution: int | None) -> str:
    return f"{resolution}×{resolution}" if resolution else "latent"


def _plain(seen: Magnitudes) -> Verdict:
    if seen.broken or seen.largest > LARGEST:
        return "overflows"
    if seen.largest > LARGEST / 2**NEAR:
        return "near"
    if seen.nonzero and seen.quantile(0.99) < 2.0**NORMAL:
        return "vanishes"
    return "fits"


def _safe(seen: Magnitudes, dtype: str, precision: str, *, stored: bool) -> Verdict | None:
    if precision == "fp16" and dtype == "float16":
        verdict = _plain(seen)
        # Sums are bounded, by 64 times the clamp, so that even the largest do not overflow.
        return "fits" if verdict == "near" else verdict
    if not stored or precision == "int8":
        return None
    return "clamped" if seen.broken or seen.largest > CLAMP else "fits"
