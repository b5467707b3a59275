"""The fastest form of an INT8 network on a CPU: fewer passes over memory.

Once the convolutions take bytes, most of a small network's time is spent reading and writing floats between
them. Two changes reduce that, and affect nothing but rounding:

- convolutions whose results are added become one convolution over their concatenated inputs (`side_by_side`);
- per-channel factors, such as the latent's styles and demodulations, are merged into the scales where a value
  is quantised or dequantised anyway (`factors_in_scales`). Scales then differ by picture, which ONNX Runtime
  allows; TensorRT's are constants. The results of a doubling convolution are interleaved as bytes, before
  dequantisation.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnxruntime.quantization.onnx_model import ONNXModel

from calibration.int8.quantisable import is_quantisable, weights_of

Shape = tuple[int, ...]

MOVING = ("Concat", "Reshape", "Unsqueeze")
"""Operators that only rearrange values."""


def side_by_side(model: ModelProto) -> ModelProto:
    """Return a model in which each sum of two convolutions is one convolution."""
    graph = _Graph(model)
    weights = weights_of(model)
    for add in graph.nodes("Add"):
        first, second = (graph.maker(name) for name in add.input)
        if not (first and second and all(_is_term(graph, node, weights) for node in (first, second))):
            continue
        if first.attribute != second.attribute:
            continue
        kernel = np.concatenate([graph.constant(node.input[1]) for node in (first, second)], axis=1)
        inputs = graph.add("Concat", (first.input[0], second.input[0]), f"{add.name}_inputs", axis=1)
        joined = NodeProto()
        joined.CopyFrom(first)
        joined.input[:] = [inputs, graph.keep(kernel, f"{first.input[1]}_and_{second.input[1]}")]
        joined.output[:] = add.output
        graph.insert(joined)
    return graph.model()


def factors_in_scales(model: ModelProto, shapes: Mapping[str, Shape]) -> ModelProto:
    """Return a quantised model with its per-channel factors merged into adjacent scales.

    shapes  of the values, for a batch of one; those added by quantisation are not needed
    """
    graph = _Graph(model)
    for quantise in graph.nodes("QuantizeLinear"):
        _divide_scale(graph, quantise, shapes)
    for product in graph.nodes("Mul"):
        if _is_by_channel(product, shapes):
            _multiply_scale(graph, product, shapes)
    return graph.model()


def _is_term(graph: "_Graph", node: NodeProto, weights: dict[str, Shape]) -> bool:
    return is_quantisable(node, weights) and len(node.input) == 2 and graph.is_read_once(node)


def _is_by_channel(node: NodeProto, shapes: Mapping[str, Shape]) -> bool:
    """Return whether a product is of a picture, B×C×H×W, and a factor for each channel, B×C×1×1."""
    if node.op_type != "Mul":
        return False
    picture, factor = shapes[node.output[0]], shapes.get(node.input[1], ())
    return len(picture) == 4 and factor == (1, picture[1], 1, 1)


def _divide_scale(graph: "_Graph", quantise: NodeProto, shapes: Mapping[str, Shape]) -> None:
    """Quantise the value before its multiplication, by the scale divided by the factor. Concatenated parts
    are quantised separately."""
    whole = graph.maker(quantise.input[0])
    if whole is None:
        return
    joins = whole.op_type == "Concat"
    parts = [graph.maker(name) for name in whole.input] if joins else [whole]
    products = [part for part in parts if part and _is_by_channel(part, shapes)]
    if len(products) < len(parts) or not all(graph.is_read_once(node) for node in (whole, *products)):
        return
    if any(graph.is_constant(product.input[0]) for product in products):  # has no batch
        return
    levels = []
    for product in products:
        value, factor = product.input
        scale = graph.add("Div", (quantise.input[1], _flat(graph, factor)), f"{product.name}_scale")
        shape = shapes[product.output[0]]
        levels.append(_by_channel(graph, "QuantizeLinear", value, scale, shape, f"{product.name}_levels"))
    joined = graph.add("Concat", levels, f"{whole.name}_levels", axis=1) if joins else levels[0]
    graph.read(quantise.output[0], joined)


def _multiply_scale(graph: "_Graph", product: NodeProto, shapes: Mapping[str, Shape]) -> None:
    """Dequantise by the scale times the factor before the blurs; interleave afterwards."""
    value, factor = product.input
    while (blur := graph.maker(value)) and _is_blur(blur, shapes) and graph.is_read_once(blur):
        value = blur.input[0]
    parts = _dequantised(graph, value)
    halves = [half for half, _ in parts]
    if len({_scale_of(graph, half) for half in halves}) != 1:
        return
    blurred, levels = product.input[0], [_levels(graph, half, pads) for half, pads in parts]
    if len(halves) == 4:
        shape = shapes[value]
        whole = _interleaved(graph, levels, shape, f"{product.name}_levels")
    elif halves[0].output[0] == blurred:
        shape = shapes[product.output[0]]
        (whole,) = levels
    else:
        return
    scale = graph.add("Mul", (halves[0].input[1], _flat(graph, factor)), f"{product.name}_scale")
    floats = f"{product.name}_floats"
    graph.read(value, floats)
    _by_channel(graph, "DequantizeLinear", whole, scale, shape, floats)
    graph.read(product.output[0], floats if blurred == value else blurred)


def _interleaved(graph: "_Graph", phases: Sequence[str], shape: Shape, name: str) -> str:
    """Interleave a doubling's four phases; a pixel's channels, adjacent meanwhile, move at once."""
    _, channels, height, width = shape
    phases = [graph.add("Transpose", [phase], f"{phase}_last", perm=(0, 2, 3, 1)) for phase in phases]
    lines = [
        _stacked(graph, pair, 3, f"{name}_{which}")
        for which, pair in (("even", phases[:2]), ("odd", phases[2:]))
    ]
    rows = _stacked(graph, lines, 2, f"{name}_rows")
    pixels = graph.add("Reshape", (rows, graph.shape(-1, height, width, channels)), f"{name}_pixels")
    return graph.add("Transpose", [pixels], name, perm=(0, 3, 1, 2))


def _stacked(graph: "_Graph", parts: Sequence[str], axis: int, name: str) -> str:
    axes = graph.keep(np.array([axis], np.int64), f"axis_{axis}")
    layers = [graph.add("Unsqueeze", (part, axes), f"{part}_{axis}") for part in parts]
    return graph.add("Concat", layers, name, axis=axis)


def _dequantised(graph: "_Graph", value: str) -> list[tuple[NodeProto, str | None]]:
    """Return the nodes that dequantise all parts of a value; none if anything else is in it.

    Each comes with its zero padding, as the name of a constant, if it was padded right afterwards.
    """
    node = graph.maker(value)
    if node is None or not graph.is_read_once(node):
        return []
    if node.op_type == "DequantizeLinear":
        return [(node, None)]
    if node.op_type == "Pad":
        half = graph.maker(node.input[0])
        plain = half is not None and half.op_type == "DequantizeLinear" and graph.is_read_once(half)
        return [(half, node.input[1])] if half is not None and plain else []
    if node.op_type not in MOVING:
        return []
    found = [
        _dequantised(graph, part) for part in (node.input if node.op_type == "Concat" else node.input[:1])
    ]
    return [half for halves in found for half in halves] if all(found) else []


def _levels(graph: "_Graph", half: NodeProto, pads: str | None) -> str:
    """Return the levels that a node dequantises, padded by the level that stands for zero."""
    if pads is None:
        return str(half.input[0])
    return graph.add("Pad", (half.input[0], pads, half.input[2]), f"{half.input[0]}_padded")


def _scale_of(graph: "_Graph", half: NodeProto) -> tuple[float, int]:
    scale, zero = (graph.constant(name) for name in half.input[1:])
    return float(scale), int(zero)


def _is_blur(node: NodeProto, shapes: Mapping[str, Shape]) -> bool:
    """Return whether a node is a depthwise convolution, which commutes with per-channel factors."""
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    return node.op_type == "Conv" and len(node.input) == 2 and groups == shapes.get(node.output[0], (0, 0))[1]


def _by_channel(graph: "_Graph", kind: str, value: str, scale: str, shape: Shape, name: str) -> str:
    """Quantise or dequantise each channel of each picture of a batch by its own scale.

    Scales apply along one axis, so the pictures' channels are moved to one axis meanwhile. A factor of 0
    makes the scale infinite, and all levels the middle one.
    """
    _, channels, height, width = shape
    together = graph.add("Reshape", (value, graph.shape(1, -1, height, width)), f"{name}_together")
    count = graph.add("Shape", [scale], f"count_of_{channels}")
    middle = numpy_helper.from_array(np.array([128], np.uint8))
    zeros = graph.add("ConstantOfShape", [count], f"zeros_of_{channels}", value=middle)
    done = graph.add(kind, (together, scale, zeros), f"{name}_by_channel", axis=1)
    return graph.add("Reshape", (done, graph.shape(-1, channels, height, width)), name)


def _flat(graph: "_Graph", factor: str) -> str:
    return graph.add("Reshape", (factor, graph.shape(-1)), f"{factor}_flat")


class _Graph:
    def __init__(self, model: ModelProto) -> None:
        self._model = ModelProto()
        self._model.CopyFrom(model)
        self._makers: dict[str, NodeProto] = {}
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        self._constants = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._outputs = {value.name for value in self._model.graph.output}
        for node in self._model.graph.node:
            self.insert(node)

    def nodes(self, kind: str) -> list[NodeProto]:
        return [node for node in self._makers.values() if node.op_type == kind]

    def maker(self, value: str) -> NodeProto | None:
        return self._makers.get(value)

    def is_read_once(self, node: NodeProto) -> bool:
        value = node.output[0]
        return value not in self._outputs and len(self._readers[value]) == 1

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def constant(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._constants[name])

    def keep(self, values: NDArray[Any], name: str) -> str:
        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def shape(self, *lengths: int) -> str:
        return self.keep(np.array(lengths, np.int64), "shape_" + "_".join(str(n) for n in lengths))

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        if output not in self._makers:
            self.insert(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def insert(self, node: NodeProto) -> None:
        self._makers |= dict.fromkeys(node.output, node)
        for name in node.input:
            self._readers[name].append(node)

    def read(self, old: str, new: str) -> None:
        """Make all readers of one value read another."""
        for node in self._readers.pop(old, []):
            node.input[:] = [new if name == old else name for name in node.input]
            self._readers[new].append(node)

    def model(self) -> ModelProto:
        """Return the part of the graph that the outputs need, in an order that can be computed."""
        needed: dict[str, NodeProto] = {}
        values = list(self._outputs)
        while values:
            node = self._makers.get(values.pop())
            if node and node.output[0] not in needed:
                needed[node.output[0]] = node
                values += node.input
        nodes = [node for name, node in self._makers.items() if name in needed]
        used = {name for node in nodes for name in node.input}
        constants = [tensor for name, tensor in self._constants.items() if name in used]
        changed = ModelProto()
        changed.CopyFrom(self._model)
        del changed.graph.node[:], changed.graph.initializer[:], changed.graph.value_info[:]
        changed.graph.node.extend(nodes)
        changed.graph.initializer.extend(constants)
        ordered = ONNXModel(changed)
        ordered.topological_sort()
        result: ModelProto = ordered.model
        return result
