"""Run a graph in bounded memory so that every intermediate value can be examined.

The graph is cut into consecutive pieces. Each is a session of its own whose values are all outputs; after a
piece has run, its values are passed on, and those that no later piece needs are freed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from engines.package import RESTORING, GraphName
from export.rounding import Session, session_of

Values = dict[str, NDArray[Any]]
See = Callable[[GraphName, str, NDArray[Any]], object]
"""Called with a value: its graph, its name and its array."""

BUDGET = 192 << 20
"""Limit in bytes for the values of a piece; a single node may exceed it."""

LEAST_SIDE = 4
"""Operators on a picture; a style is a picture of one pixel."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Nodes of a graph that run together."""

    session: Session
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    done: tuple[str, ...]
    """Values that no later piece needs."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A graph in pieces."""

    pieces: tuple[Piece, ...]
    inputs: tuple[str, ...]
    outputs: frozenset[str]


def in_pieces(model: ModelProto, *, budget: int = BUDGET, threads: int = 0) -> Watched:
    """Cut a graph into pieces, for a batch of one; values keep their names and types."""
    graph = model.graph
    types = _types(model)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    groups = _groups(graph.node, types, budget)
    pieces = []
    for i, nodes in enumerate(groups):
        made = [name for node in nodes for name in node.output if name]
        used = dict.fromkeys(name for node in nodes for name in node.input if name)
        inputs = [name for name in used if name not in constants and name not in made]
        later = {name for group in groups[i + 1 :] for node in group for name in node.input}
        part = helper.make_graph(
            nodes,
            f"piece {i}",
            [helper.make_tensor_value_info(name, types[name][0], None) for name in inputs],
            [onnx.ValueInfoProto(name=name) for name in made],
            [constants[name] for name in used if name in constants],
        )
        cut = helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
        done = tuple(name for name in (*inputs, *made) if name not in later)
        pieces.append(Piece(session_of(cut, threads, optimised=False), tuple(inputs), tuple(made), done))
    ports = tuple(value.name for value in graph.input)
    return Watched(tuple(pieces), ports, frozenset(value.name for value in graph.output))


def watch(graph: Watched, inputs: Values, see: Callable[[str, NDArray[Any]], object]) -> Values:
    """Run a graph; `see` is called with every node's output and its name. Return the graph's outputs."""
    alive = dict(inputs)
    outputs: Values = {}
    for piece in graph.pieces:
        found = piece.session.run(list(piece.outputs), {name: alive[name] for name in piece.inputs})
        for name, value in zip(piece.outputs, found, strict=True):
            see(name, value)
            alive[name] = value
            if name in graph.outputs:
                outputs[name] = value
        for name in piece.done:
            alive.pop(name, None)
    return outputs


def run_through(graphs: Mapping[GraphName, Watched], sample: NDArray[np.float32], see: See) -> Values:
    """Run a crop, 1×3×S×S in [−1, 1], from graph to graph; `see` is called with every intermediate value.

    Returns the outputs of the last graph.
    """
    values: Values = {"crop": sample}
    for name in RESTORING:
        graph = graphs[name]
        taken = {key: values.pop(key) for key in graph.inputs}
        values |= watch(graph, taken, partial(see, name))
    return values


def unpacked(model: ModelProto) -> ModelProto:
    """Return a model whose weights that are stored as FP16 are plain FP32 initializers again."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "Cast" and node.input[0] in constants and node.attribute[0].i == TensorProto.FLOAT:
            tensor = constants[node.input[0]]
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
            graph.node.remove(node)
    return result


def shapes_of(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every value whose shape is known, for a batch of one."""
    return {name: shape for name, (_, shape) in _types(model).items() if shape is not None}


def resolutions_of(model: ModelProto) -> dict[str, int]:
    """Return the resolution that every value and constant belongs to.

    A picture has its own. A value without one, such as a style, belongs to the nearest picture computed from
    it, or to none if there is none.
    """
    sides = {name: shape[-1] for name, shape in shapes_of(model).items() if len(shape) == 4}
    # Around a blur or a doubling a picture is a line or two larger than its resolution.
    own = {name: 1 << (side.bit_length() - 1) for name, side in sides.items() if side >= LEAST_SIDE}
    found: dict[str, int] = {}
    for node in reversed(model.graph.node):
        served = [own.get(name, found.get(name)) for name in node.output]
        first = next((resolution for resolution in served if resolution), None)
        if first:
            for name in (*node.output, *node.input):
                found[name] = own.get(name, first)
    return found


def _types(model: ModelProto) -> dict[str, tuple[int, tuple[int, ...] | None]]:
    single = ModelProto()
    single.CopyFrom(model)
    for value in (*single.graph.input, *single.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_value = 1
    graph = shape_inference.infer_shapes(single, data_prop=True).graph
    found = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        lengths = tuple(axis.dim_value for axis in kind.shape.dim)
        known = kind.HasField("shape") and all(axis.HasField("dim_value") for axis in kind.shape.dim)
        found[value.name] = (kind.elem_type, lengths if known else None)
    return found


def _groups(
    nodes: Sequence[NodeProto], types: dict[str, tuple[int, tuple[int, ...] | None]], budget: int
) -> list[list[NodeProto]]:
    groups: list[list[NodeProto]] = [[]]
    taken = 0
    for node in nodes:
        size = sum(4 * math.prod(types[name][1] or ()) for name in node.output if name in types)
        if groups[-1] and taken + size > budget:
            groups.append([])
            taken = 0
        groups[-1].append(node)
        taken += size
    return groups
