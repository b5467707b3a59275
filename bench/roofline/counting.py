"""Count the operations and the memory traffic of a graph from its ONNX file."""

import math
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto

from base.errors import PackageError

Shape = tuple[int, ...]

RELABELLED = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Constant"})
"""Operations that move no data: runtimes give the same memory another shape."""
FOLDED = frozenset({"Cast"})
"""Of a weight that is stored as FP16: runtimes compute it once, when they load the file."""


@dataclass(frozen=True)
class Work:
    """One node's work, for a batch of one."""

    name: str
    operation: str
    macs: int
    """Multiply-and-adds of convolutions and matrix products; other operations count as none."""
    weight_bytes: int
    input_bytes: int
    """Of activations."""
    output_bytes: int

    @property
    def bytes(self) -> int:
        """Return the memory traffic without caching and fusion."""
        return self.weight_bytes + self.input_bytes + self.output_bytes


@dataclass(frozen=True)
class GraphWork:
    """A graph's work, for a batch of one."""

    nodes: tuple[Work, ...]
    weight_bytes: int
    input_bytes: int
    """Of the graph's own inputs."""
    output_bytes: int

    @property
    def macs(self) -> int:
        """Return the multiply-and-adds of all nodes."""
        return sum(node.macs for node in self.nodes)

    @property
    def least_bytes(self) -> int:
        """Return the minimum memory traffic: weights, inputs and outputs, once each."""
        return self.weight_bytes + self.input_bytes + self.output_bytes

    @property
    def bytes(self) -> int:
        """Return the memory traffic if every node reads from memory and writes to it."""
        return sum(node.bytes for node in self.nodes)


def count(path: Path) -> GraphWork:
    """Count the work of an ONNX file for a batch of one. Raises PackageError if shapes cannot be inferred."""
    model = _with_shapes(onnx.load(path), path)
    graph = model.graph
    sizes = {tensor.name: _bytes(tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    weights = set(shapes)
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
        sizes[value.name] = _bytes(kind.elem_type, shapes[value.name])
    nodes = []
    for node in graph.node:
        if node.op_type in FOLDED and set(node.input) <= weights:
            weights.update(node.output)
            sizes[node.output[0]] = sizes[node.input[0]]
            continue
        nodes.append(_work(node, shapes, sizes, weights, path))
    return GraphWork(
        tuple(nodes),
        sum(sizes[tensor.name] for tensor in graph.initializer),
        sum(sizes[value.name] for value in graph.input),
        sum(sizes[value.name] for value in graph.output),
    )


def _with_shapes(model: ModelProto, path: Path) -> ModelProto:
    for value in (*model.graph.input, *model.graph.output):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                if axis:
                    raise PackageError(f"{path}: {value.name} has no fixed shape: export it again")
                dim.dim_value = 1
    del model.graph.value_info[:]  # inferred for any batch
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise PackageError(f"{path}: its shapes cannot be inferred: export it again") from error


def _work(
    node: NodeProto, shapes: dict[str, Shape], sizes: dict[str, int], weights: set[str], path: Path
) -> Work:
    names = [name for name in (*node.input, *node.output) if name]
    unknown = next((name for name in names if name not in shapes), None)
    if unknown is not None:
        raise PackageError(f"{path}: the shape of {unknown} cannot be inferred: export it again")
    still = node.op_type in RELABELLED
    outputs = 0 if still else sum(sizes[name] for name in node.output if name)
    activations = [sizes[name] for name in node.input if name and name not in weights]
    if node.op_type == "Slice":
        activations = [min(size, outputs) for size in activations]  # reads no more than it keeps
    return Work(
        node.name or node.output[0],
        node.op_type,
        _macs(node, shapes),
        0 if still else sum(sizes[name] for name in node.input if name in weights),
        0 if still else sum(activations),
        outputs,
    )


def _macs(node: NodeProto, shapes: dict[str, Shape]) -> int:
    """Return the multiply-and-adds of a node.

    A convolution's kernel is M×C/group×kernel (of a transposed one C×M/group×kernel): each element of the
    output takes a product with one filter, each element of a transposed convolution's input one with each.
    """
    if node.op_type == "Conv":
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "MatMul":
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        across = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if across else 1]
    return 0


def _bytes(kind: int, shape: Shape) -> int:
    return math.prod(shape) * int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize)
