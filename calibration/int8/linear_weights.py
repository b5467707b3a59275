"""Weights of linear layers in a byte each: they take little time, but in a small network much of the file.

Each is followed by a DequantizeLinear of one scale per output; the products stay in floating point. An input
whose weights are all small would lose most of them to that scale: so the weights of each input are brought to
the same reach, and the input is multiplied by it instead.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from calibration.int8.ranges import LEVELS, TINY
from export.storage import SMALLEST

STORED = "_int8"
"""What is added to the name of a tensor for its stored form; the graph goes on using the old name."""
REACH = "_reach"
"""And for what its inputs are multiplied by."""


def store_linear_weights(model: ModelProto, of: Iterable[ModelProto]) -> ModelProto:
    """Return a model whose large constant FP32 weights of Gemm and MatMul nodes are stored as INT8.

    of  models that contain those weights: others stay as they are
    """
    wanted = {tensor.raw_data for source in of for tensor in source.graph.initializer}
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    axes = {node.input[1]: _output_axis(node) for node in graph.node if node.op_type in ("Gemm", "MatMul")}
    nodes: list[NodeProto] = []
    for tensor in list(graph.initializer):
        if tensor.name not in axes or tensor.raw_data not in wanted:
            continue
        values = numpy_helper.to_array(tensor)
        if values.ndim != 2 or values.size < SMALLEST or values.dtype != np.float32:
            continue
        name, axis = tensor.name, axes[tensor.name]
        reach = np.maximum(np.abs(values).max(axis), TINY)
        even = values / np.expand_dims(reach, axis)
        scales = np.maximum(np.abs(even).max(1 - axis), TINY) / np.float32(LEVELS)
        levels = np.rint(even / np.expand_dims(scales, 1 - axis)).astype(np.int8)
        names = [name + STORED, name + "_scale", name + "_zero_point"]
        parts: list[NDArray[np.generic]] = [levels, scales, np.zeros(len(scales), np.int8)]
        graph.initializer.remove(tensor)
        graph.initializer.extend(
            numpy_helper.from_array(part, key)
            for part, key in zip([*parts, reach], [*names, name + REACH], strict=True)
        )
        nodes.append(
            helper.make_node("DequantizeLinear", names, [name], name=f"{name}_DequantizeLinear", axis=axis)
        )
    reaches = {tensor.name for tensor in graph.initializer if tensor.name.endswith(REACH)}
    for node in graph.node:
        if node.op_type in ("Gemm", "MatMul") and (reach_of := node.input[1] + REACH) in reaches:
            scaled = f"{node.name}_input"
            nodes.append(helper.make_node("Mul", [node.input[0], reach_of], [scaled], name=scaled))
            node.input[0] = scaled
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def _output_axis(node: NodeProto) -> int:
    """Return along which axis of its weights a node's outputs lie."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if transposed else 1
