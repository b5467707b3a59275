"""Store weights in less space: FP16 or INT8 in the file, FP32 in the computation."""

import math

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

SMALLEST, SMALLEST_SHARE = 1024, 1 / 200
"""Tensors with fewer values, or with a smaller share of the model's, stay FP32: they save nothing, and biases
and an encoder's first, most sensitive weights are among them.
"""

STORED = "_fp16"
"""Suffix of a tensor's stored form; the graph keeps using the old name."""
BYTES = "_int8"
"""The same, if it is INT8."""

_LARGEST = float(np.finfo(np.float16).max)
_LOST = 2.0**-10
"""Largest RMS change by rounding, relative to a tensor's RMS."""


def store_halved(model: ModelProto) -> ModelProto:
    """Return a model whose large FP32 weights are stored as FP16, each followed by a Cast to FP32.

    Runtimes fold the casts when they load the file, so inference is not slower. Tensors that FP16 cannot
    represent (too large, or so small that more than rounding would be lost) stay unchanged.
    """
    halved = ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    least = max(SMALLEST, SMALLEST_SHARE * sum(math.prod(tensor.dims) for tensor in graph.initializer))
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < least or not _fits(values):
            continue
        name, stored = tensor.name, tensor.name + STORED
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT, name=f"{name}_cast"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return halved


def store_in_bytes(model: ModelProto) -> ModelProto:
    """Return a model whose convolutions' large FP32 weights are stored as INT8, with a scale for each output.

    Each is followed by a Cast and a Mul, which runtimes fold when they load the file.
    """
    stored = ModelProto()
    stored.CopyFrom(model)
    graph = stored.graph
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    nodes = []
    for tensor in list(graph.initializer):
        name, values = tensor.name, numpy_helper.to_array(tensor)
        if name not in weights or values.dtype != np.float32 or values.size < SMALLEST:
            continue
        axes = tuple(range(1, values.ndim))
        scales = np.maximum(np.abs(values).max(axes, keepdims=True), np.finfo(np.float32).tiny) / np.float32(
            127
        )
        levels = np.rint(values / scales).astype(np.int8)
        tensor.CopyFrom(numpy_helper.from_array(levels, name + BYTES))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
        cast = f"{name}_cast"
        nodes += [
            helper.make_node("Cast", [name + BYTES], [cast], to=TensorProto.FLOAT, name=cast),
            helper.make_node("Mul", [cast, f"{name}_scale"], [name], name=f"{name}_mul"),
        ]
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    return stored


def _fits(values: np.ndarray) -> bool:
    exact = values.astype(np.float64)
    if np.abs(exact).max(initial=0) > _LARGEST:
        return False
    error = exact - values.astype(np.float16)
    return bool(np.sqrt(np.mean(error**2)) <= _LOST * np.sqrt(np.mean(exact**2)))
