"""Choose the range of each quantised value by the error it causes in the layer that reads it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from calibration.int8.quantisable import Layer
from calibration.int8.ranges import Seen, best, candidates, error, rounded, rounded_weights
from calibration.samples import Sample
from calibration.watching import Watched, in_pieces, run_through
from engines.package import RESTORING, GraphName
from export.rounding import Session, session_of

RANKED = 4
"""Portraits on which the candidates are compared."""

Models = Mapping[GraphName, ModelProto]
Tops = dict[GraphName, dict[str, tuple[str, float]]]
"""By graph and value: method and range T."""


@dataclass(frozen=True, eq=False)
class Reader:
    """A single convolution, exact and with rounded weights."""

    exact: Session
    coarse: Session


def choose_ranges(
    models: Models,
    layers: Sequence[Layer],
    samples: Sequence[Sample],
    *,
    outputs: bool,
    threads: int,
    tick: Callable[[], None],
) -> Tops:
    """Return a range for every value that the layers read.

    outputs  also for the values that they write
    tick     called after each of len(samples) + RANKED portraits
    """
    graphs = {name: in_pieces(models[name], threads=threads) for name in RESTORING}
    seen: dict[GraphName, dict[str, Seen]] = defaultdict(dict)
    for layer in layers:
        for name in (*layer.inputs, *(layer.outputs if outputs else ())):
            seen[layer.graph][name] = Seen()

    def see(graph: GraphName, name: str, values: NDArray[Any]) -> None:
        if name in seen[graph]:
            seen[graph][name].add(values)

    for sample in samples:
        see(RESTORING[0], "crop", sample)
        run_through(graphs, sample, see)
        tick()
    tried = {
        graph: {name: candidates(found) for name, found in values.items()} for graph, values in seen.items()
    }
    errors = _errors(models, graphs, layers, tried, samples[:RANKED], threads, tick)
    result: Tops = defaultdict(dict)
    for graph, values in tried.items():
        for name, tops in values.items():
            ranked = errors[graph].get(name)
            if ranked is None:  # written, not read
                kept = np.concatenate(seen[graph][name].kept)
                result[graph][name] = best(tops, lambda top, kept=kept: error(kept, top))  # type: ignore[misc]
            else:
                result[graph][name] = best(tops, ranked.__getitem__)
    return result


def _errors(
    models: Models,
    graphs: Mapping[GraphName, Watched],
    layers: Sequence[Layer],
    tried: Mapping[GraphName, Mapping[str, Mapping[str, float]]],
    samples: Sequence[Sample],
    threads: int,
    tick: Callable[[], None],
) -> dict[GraphName, dict[str, dict[float, float]]]:
    """Return for each value that is read, and each range, the squared error in its readers' results."""
    readers: dict[GraphName, dict[str, list[Reader]]] = defaultdict(lambda: defaultdict(list))
    for graph in {layer.graph for layer in layers}:
        nodes = {node.name: node for node in models[graph].graph.node}
        constants = {tensor.name: tensor for tensor in models[graph].graph.initializer}
        for layer in layers:
            for name in layer.convolutions if layer.graph == graph else ():
                node = nodes[name]
                reader = _reader(node, constants[node.input[1]], models[graph], threads)
                readers[graph][node.input[0]].append(reader)
    found: dict[GraphName, dict[str, dict[float, float]]] = defaultdict(dict)

    def see(graph: GraphName, name: str, values: NDArray[Any]) -> None:
        for reader in readers[graph].get(name, ()):
            errors = found[graph].setdefault(name, {})
            (wanted,) = reader.exact.run(None, {"x": values})
            for top in set(tried[graph][name].values()):
                (got,) = reader.coarse.run(None, {"x": rounded(values, top)})
                errors[top] = errors.get(top, 0.0) + float(np.square(got - wanted).sum(dtype=np.float64))

    for sample in samples:
        see(RESTORING[0], "crop", sample)
        run_through(graphs, sample, see)
        tick()
    return found


def _reader(node: NodeProto, weights: TensorProto, model: ModelProto, threads: int) -> Reader:
    kernel = numpy_helper.to_array(weights)
    return Reader(*(_alone(node, k, model, threads) for k in (kernel, rounded_weights(kernel))))


def _alone(node: NodeProto, kernel: NDArray[np.float32], model: ModelProto, threads: int) -> Session:
    """Open a convolution without its bias, which rounding does not affect."""
    single = NodeProto()
    single.CopyFrom(node)
    del single.input[:], single.output[:]
    single.input.extend(["x", "kernel"])
    single.output.append("y")
    graph = helper.make_graph(
        [single],
        "reader",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return session_of(alone, threads)
