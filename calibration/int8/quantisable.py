"""Find the convolutions of a package that can be INT8, and their share of the arithmetic.

A layer is quantised or left alone as a unit: the convolutions that share an input (the four phases of a
doubling), or whose results are added (the concatenated parts of a styled convolution). Depthwise blurs are
not included: they are a hundredth of the arithmetic, memory-bound, and no faster in INT8.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from onnx import ModelProto, NodeProto, helper

from calibration.watching import resolutions_of, shapes_of
from engines.package import GraphName

MEASURED: tuple[GraphName, ...] = ("encoder", "generator")
"""The graphs whose layers are chosen; other graphs with the same layers follow."""

LEAST_CHANNELS = 4
"""INT8 instructions process this many channels at a time. The first convolution has three: it would gain
nothing, and rounding the picture itself costs more than rounding what is computed from it.
"""


@dataclass(frozen=True)
class Layer:
    """Convolutions that are quantised together."""

    graph: GraphName
    name: str
    """Readable name: "generator 64×64 up"."""
    convolutions: tuple[str, ...]
    """Names of the nodes."""
    inputs: tuple[str, ...]
    """Its input values, each once."""
    outputs: tuple[str, ...]
    """The values they make."""
    macs: int
    """Products of a crop."""


def layers_of(graph: GraphName, model: ModelProto) -> list[Layer]:
    """Return the layers of a graph in the order of computation."""
    shapes, resolutions = shapes_of(model), resolutions_of(model)
    weights = weights_of(model)
    convolutions = [node for node in model.graph.node if is_quantisable(node, weights)]
    layers = []
    for nodes in _together(model, convolutions):
        outputs = tuple(node.output[0] for node in nodes)
        side = resolutions[outputs[0]]
        doubles = len(nodes) == 4
        kind = (" up" if doubles else " same") if graph == "generator" else ""
        layers.append(
            Layer(
                graph,
                f"{graph} {side * 2 if doubles else side}{kind}",
                tuple(node.name for node in nodes),
                tuple(dict.fromkeys(node.input[0] for node in nodes)),
                outputs,
                sum(_macs(node, shapes, weights) for node in nodes),
            )
        )
    return layers


def all_macs(model: ModelProto) -> int:
    """Return the MACs for a crop: of convolutions and matrix products, quantisable or not."""
    shapes, weights = shapes_of(model), weights_of(model)
    return sum(_macs(node, shapes, weights) for node in model.graph.node)


def is_quantisable(node: NodeProto, weights: dict[str, tuple[int, ...]]) -> bool:
    """Return whether a node is a convolution with constant weights and at least LEAST_CHANNELS channels."""
    if node.op_type != "Conv" or weights.get(node.input[1], (0, 0))[1] < LEAST_CHANNELS:
        return False
    return all(attribute.i == 1 for attribute in node.attribute if attribute.name == "group")


def weights_of(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's constants."""
    return {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}


def same_layers(layers: Sequence[Layer], source: ModelProto, other: ModelProto) -> list[tuple[Layer, Layer]]:
    """Return the layers that another graph contains as well, each with its counterpart.

    The fused graph contains encoder and generator, the step the part of the encoder that makes the latent.
    Convolutions are matched by their weights and, if two have equal weights, by their order.
    """
    theirs: dict[tuple[str, int], NodeProto] = {}
    for key, node in zip(_keys(other), _convolutions(other), strict=True):
        theirs[key] = node
    ours = {node.name: key for key, node in zip(_keys(source), _convolutions(source), strict=True)}
    found = []
    for layer in layers:
        nodes = [theirs[ours[name]] for name in layer.convolutions if ours[name] in theirs]
        if len(nodes) == len(layer.convolutions):
            same = replace(
                layer,
                convolutions=tuple(node.name for node in nodes),
                inputs=tuple(dict.fromkeys(node.input[0] for node in nodes)),
                outputs=tuple(node.output[0] for node in nodes),
            )
            found.append((layer, same))
    return found


def _convolutions(model: ModelProto) -> list[NodeProto]:
    weights = weights_of(model)
    return [node for node in model.graph.node if is_quantisable(node, weights)]


def _keys(model: ModelProto) -> list[tuple[str, int]]:
    """Return for each convolution the digest of its weights, and how many before it have the same."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    times: dict[str, int] = defaultdict(int)
    keys = []
    for node in _convolutions(model):
        tensor = constants[node.input[1]]
        digest = sha256(repr(tuple(tensor.dims)).encode() + tensor.raw_data).hexdigest()
        keys.append((digest, times[digest]))
        times[digest] += 1
    return keys


def _together(model: ModelProto, convolutions: list[NodeProto]) -> list[list[NodeProto]]:
    """Group convolutions that share an input or are added."""
    added = {
        name: node.output[0] for node in model.graph.node if node.op_type == "Add" for name in node.input
    }
    groups: list[tuple[set[str], list[NodeProto]]] = []
    for node in convolutions:
        marks = {node.input[0], added.get(node.output[0], node.output[0])}
        for known, nodes in groups:
            if known & marks:
                known |= marks
                nodes.append(node)
                break
        else:
            groups.append((marks, [node]))
    return [nodes for _, nodes in groups]


def _macs(node: NodeProto, shapes: dict[str, tuple[int, ...]], weights: dict[str, tuple[int, ...]]) -> int:
    made = math.prod(shapes.get(node.output[0], ()))
    if node.op_type == "Conv":
        return made * math.prod(weights[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        strides: list[int] = next(
            helper.get_attribute_value(a) for a in node.attribute if a.name == "strides"
        )
        return made * math.prod(weights[node.input[1]][1:]) // math.prod(strides)
    if node.op_type == "Gemm":
        return math.prod(weights.get(node.input[1], ()))
    if node.op_type == "MatMul":
        return made * shapes.get(node.input[0], (1,))[-1]
    return 0
