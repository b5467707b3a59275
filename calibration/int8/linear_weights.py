"""Store the weights of linear layers in one byte each: little time, but much of a small network's file size.

Each tensor is followed by a DequantizeLinear with one scale per output; the products stay floating-point.
Inputs whose weights are all small would lose most of their precision. So the weights of each input are scaled
to the same range, and the input is multiplied by that scale instead.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from calibration.int8.ranges import LEVELS, TINY

SMALLEST = 1024
"""Weights of fewer values stay FP32."""
STORED = "_int8"
"""Suffix of a tensor's stored form; the graph keeps using the old name."""
REACH = "_reach"
"""Suffix of the factors of its inputs."""


def store_linear_weights(model: ModelProto, of: Iterable[ModelProto]) -> ModelProto:
    """Return a model whose large constant FP32 weights of Gemm and MatMul nodes are stored as INT8.

    of  models that contain those weights: others are not changed
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
    """Return the axis of its weights that holds a node's outputs."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if transposed else 1
