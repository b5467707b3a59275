"""Write a TensorFlow Lite graph as ONNX: pixels before channels become channels before pixels.

TensorFlow Lite stores activations as N×H×W×C and the weights of a convolution as O×H×W×I; ONNX has N×C×H×W
and O×I×H×W. Weights are stored in FP16, which halves the file, and converted back when a session opens; the
graph computes in FP32. PRelu becomes convolutions, with which ONNX Runtime takes half of the time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from base.errors import CheckpointError
from export.tflite.reader import LiteGraph, Operator

OPSET = 17
IR_VERSION = 8
NCHW = (0, 3, 1, 2)
SAME = 0
"""schema.fbs, Padding: the output has ⌈input / stride⌉ pixels."""
ACTIVATIONS = {0: "", 1: "Relu"}
"""schema.fbs, ActivationFunctionType."""


def to_onnx(graph: LiteGraph, names: Mapping[str, str]) -> onnx.ModelProto:
    """Return the graph with any batch size.

    names  of the inputs and outputs: in the file, and in the result

    Raises CheckpointError if it uses an option that is not converted.
    """
    return _Conversion(graph, names).model()


class _Conversion:
    """The ONNX graph while its nodes are added."""

    def __init__(self, graph: LiteGraph, names: Mapping[str, str]) -> None:
        self._graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._single: str | None = None
        self._constants = {i: tensor.value for i, tensor in enumerate(graph.tensors)}
        self._names = {i: names.get(tensor.name, f"t{i}") for i, tensor in enumerate(graph.tensors)}

    def model(self) -> onnx.ModelProto:
        for operator in self._graph.operators:
            getattr(self, f"_{operator.kind.lower()}")(operator)
        ports = [[self._port(i) for i in which] for which in (self._graph.inputs, self._graph.outputs)]
        graph = helper.make_graph(self._nodes, "graph", ports[0], ports[1], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model

    def _dequantize(self, operator: Operator) -> None:
        """A constant stored in FP16; weights are stored so in the result as well."""
        self._constants[operator.outputs[0]] = self._constants[operator.inputs[0]]

    def _conv_2d(self, operator: Operator) -> None:
        padding, stride_x, stride_y, activation, *dilations = operator.options
        kernel = self._constant(operator.inputs[1]).transpose(NCHW)
        self._convolve(operator, kernel, 1, padding, (stride_y, stride_x), activation, dilations[:2])

    def _depthwise_conv_2d(self, operator: Operator) -> None:
        padding, stride_x, stride_y, _, activation, *dilations = operator.options
        kernel = self._constant(operator.inputs[1]).transpose(3, 0, 1, 2)
        groups = self._graph.tensors[operator.inputs[0]].shape[3]
        self._convolve(operator, kernel, groups, padding, (stride_y, stride_x), activation, dilations)

    def _convolve(
        self,
        operator: Operator,
        kernel: NDArray[Any],
        groups: int,
        padding: int,
        strides: tuple[int, int],
        activation: int,
        dilations: Sequence[int],
    ) -> None:
        if any(dilation > 1 for dilation in dilations):
            raise CheckpointError("dilated convolutions are not converted")
        source, _, bias = operator.inputs
        size = kernel.shape[2:]
        inputs = [self._names[source], self._weight(kernel), self._weight(self._constant(bias))]
        pads = self._pads(operator, size, strides) if padding == SAME else [0, 0, 0, 0]
        attributes = {"kernel_shape": size, "strides": strides, "pads": pads, "group": groups}
        self._activated(operator, "Conv", inputs, activation, **attributes)

    def _max_pool_2d(self, operator: Operator) -> None:
        padding, stride_x, stride_y, width, height, activation, _ = operator.options
        size, strides = (height, width), (stride_y, stride_x)
        pads = self._pads(operator, size, strides) if padding == SAME else [0, 0, 0, 0]
        inputs = [self._names[operator.inputs[0]]]
        self._activated(
            operator, "MaxPool", inputs, activation, kernel_shape=size, strides=strides, pads=pads
        )

    def _add(self, operator: Operator) -> None:
        self._activated(operator, "Add", [self._names[i] for i in operator.inputs], operator.options[0])

    def _prelu(self, operator: Operator) -> None:
        """With a slope a for each channel, PRelu(x) = a x + (1 − a) Relu(x): two convolutions of size 1."""
        source, slope = (self._names[operator.inputs[0]], self._constant(operator.inputs[1]))
        name, slopes = self._names[operator.outputs[0]], slope.reshape(-1, 1, 1, 1)
        below = self._weight(slopes)
        above = self._add_node("Sub", [self._one(), below], f"{name}_rest")
        positive = self._add_node("Relu", [source], f"{name}_positive")
        parts = [
            self._add_node("Conv", [of, by], f"{name}_{part}", group=len(slopes))
            for part, of, by in (("below", source, below), ("above", positive, above))
        ]
        self._node(operator, "Add", parts)

    def _pad(self, operator: Operator) -> None:
        source, widths = operator.inputs
        pads = self._constant(widths)[list(NCHW)].T.ravel().astype(np.int64)
        self._node(operator, "Pad", [self._names[source], self._stored(pads)])

    def _reshape(self, operator: Operator) -> None:
        """Flatten; the order of the elements is the same only if there is a single pixel or channel row."""
        source, target = (self._graph.tensors[i] for i in (operator.inputs[0], operator.outputs[0]))
        turned = f"{self._names[operator.outputs[0]]}_pixels_first"
        inputs = [self._names[operator.inputs[0]]]
        if len(source.shape) == 4 and np.prod(source.shape[1:3]) > 1:
            inputs = [self._add_node("Transpose", inputs, turned, perm=(0, 2, 3, 1))]
        shape = np.array([0, *target.shape[1:]], np.int64)
        self._node(operator, "Reshape", [*inputs, self._stored(shape)])

    def _pads(self, operator: Operator, size: Sequence[int], strides: Sequence[int]) -> list[int]:
        """Return what SAME pads, as ONNX wants it: the beginning of each axis, then the end of each."""
        sides = self._graph.tensors[operator.inputs[0]].shape[1:3]
        before, after = [], []
        for side, wide, stride in zip(sides, size, strides, strict=True):
            total = max((-(-side // stride) - 1) * stride + wide - side, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return before + after

    def _activated(
        self, operator: Operator, kind: str, inputs: list[str], activation: int, **attributes: Any
    ) -> None:
        if activation not in ACTIVATIONS:
            raise CheckpointError(f"activation {activation} of TensorFlow Lite is not converted")
        if not ACTIVATIONS[activation]:
            self._node(operator, kind, inputs, **attributes)
            return
        linear = f"{self._names[operator.outputs[0]]}_linear"
        self._add_node(kind, inputs, linear, **attributes)
        self._node(operator, ACTIVATIONS[activation], [linear])

    def _add_node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _one(self) -> str:
        if self._single is None:
            self._single = self._stored(np.ones(1, np.float32))
        return self._single

    def _node(self, operator: Operator, kind: str, inputs: list[str], **attributes: Any) -> None:
        self._add_node(kind, inputs, self._names[operator.outputs[0]], **attributes)

    def _constant(self, index: int) -> NDArray[Any]:
        value = self._constants[index]
        if value is None:
            raise CheckpointError(
                f"{self._graph.tensors[index].name} is computed, where a constant is expected"
            )
        return value

    def _weight(self, value: NDArray[Any]) -> str:
        half = self._stored(value.astype(np.float16))
        return self._add_node("Cast", [half], f"{half}_single", to=TensorProto.FLOAT)

    def _stored(self, value: NDArray[Any]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _port(self, index: int) -> onnx.ValueInfoProto:
        shape = self._graph.tensors[index].shape
        axes = [shape[i] for i in NCHW] if len(shape) == 4 else list(shape)
        return helper.make_tensor_value_info(
            self._names[index], TensorProto.FLOAT, ["batch", *map(int, axes[1:])]
        )
