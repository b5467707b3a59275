"""The graphs of a package: what is traced, under which names, and how it becomes a simplified ONNX model."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx
import onnxsim
import torch
from onnx import GraphProto, ModelProto
from torch import Tensor, nn

from engines.package import GraphName
from export import static
from export.half import halve
from export.network import Gpen
from export.static import StaticGpen
from export.winograd import quicken

IR_VERSION = 8
"""Of the ONNX files: what opset 17 came with, so that the oldest supported runtimes read them."""


TINY = 1e-12
"""Keeps 0 / 0 at 0, where nothing moves."""


class _Function(nn.Module):
    """A function as a module, which is what the tracer takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def step(
    net: StaticGpen, estimate: Tensor, restored: Tensor, picture_gain: Tensor, w: Tensor, latent_gain: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Make one half pass of the latent-decay loop (design §4): the estimate moves, the latent steps after it.

    estimate, restored  B×3×S×S in [−1, 1]: u and r
    picture_gain        B×1×S×S: 1 − (1 − ηρ)^k
    w                   B×style_dim
    latent_gain         B×1: 1 − (1 − η)^k

    Returns the next estimate, the next latent, and the latent's relative change, B×1.
    """
    estimate = estimate + picture_gain * (restored - estimate)
    z, _ = static.encode(net, estimate)
    stepped = w + latent_gain * (static.map_latent(net, z) - w)
    change = torch.linalg.vector_norm(stepped - w, dim=1, keepdim=True)
    return estimate, stepped, change / torch.linalg.vector_norm(w, dim=1, keepdim=True)


def move(estimate: Tensor, restored: Tensor, picture_gain: Tensor) -> tuple[Tensor, Tensor]:
    """Move the estimate only: the step of the renewed loop, whose passes encode it again (design §4).

    estimate, restored  B×3×S×S in [−1, 1]: u and r
    picture_gain        B×1×S×S: 1 − (1 − ηρ)^k

    Returns the next estimate, and its RMS change over the pixels that move, of the range of pixels, B×1.
    """
    change = picture_gain * (restored - estimate)
    gains = picture_gain.flatten(1)
    moving = (gains / gains.amax(dim=1, keepdim=True).clamp(min=TINY)).mean(dim=1, keepdim=True)
    squares = change.flatten(1).square().mean(dim=1, keepdim=True)
    return estimate + change, (squares / moving.clamp(min=TINY)).sqrt() / 2


def _flat(z: Tensor, features: list[Tensor]) -> tuple[Tensor, ...]:
    """Return the encoder's outputs, in FP32 also where it computes in FP16."""
    return z, *(f if f.dtype == torch.float32 else f.float() for f in features)


@dataclass(frozen=True)
class TracedGraph:
    """A graph to export: its function, example inputs by name, and its outputs' names."""

    function: Callable[..., Any]
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


def traced_graphs(
    network: Gpen, *, fused: bool, winograd: bool = False, half: bool = False, renewed: bool = False
) -> dict[GraphName, TracedGraph]:
    """Return the graphs of a package, with FP32 inputs and outputs whatever they compute in.

    Only the shapes of their example inputs matter. The batch is empty: tracing needs no arithmetic, and
    PyTorch's in half precision takes minutes on a CPU.

    renewed  the step only moves the estimate: the loop encodes it again by the encoder
    """
    layout, net = network.layout, static.fold(network)
    if half:
        net = halve(net)
    elif winograd:
        net = quicken(net)
    size, style_dim = layout.size, layout.style_dim
    crop, latent = torch.zeros(0, 3, size, size), torch.zeros(0, style_dim)
    features = {f"feature_{r}": torch.zeros(0, layout.channels(r), r, r) for r in layout.resolutions}
    pictures = {
        "estimate": crop,
        "restored": crop.clone(),
        "picture_gain": torch.zeros(0, 1, size, size),
    }
    latents = {"w": latent, "latent_gain": torch.zeros(0, 1)}
    graphs: dict[GraphName, TracedGraph] = {
        "encoder": TracedGraph(
            lambda crop: _flat(*static.encode(net, crop)), {"crop": crop}, ("z", *features)
        ),
        "mapping": TracedGraph(partial(static.map_latent, net), {"z": latent}, ("w",)),
        "generator": TracedGraph(
            lambda w, *features: static.generate(net, w, list(features)),
            {"w": latent, **features},
            ("restored",),
        ),
        "step": TracedGraph(move, pictures, ("next_estimate", "change"))
        if renewed
        else TracedGraph(partial(step, net), pictures | latents, ("next_estimate", "next_w", "change")),
    }
    if fused:
        graphs["fused"] = TracedGraph(partial(static.restore, net), {"input": crop}, ("output",))
    return graphs


def to_onnx(graph: TracedGraph, opset: int, batch: int | None = None) -> ModelProto:
    """Trace a graph to a checked, simplified ONNX model.

    batch  the only batch that it takes, in shapes that are numbers throughout; None leaves it dynamic
    """
    names = [*graph.inputs, *graph.outputs]
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's notes on constants: parity is measured afterwards
        torch.onnx.export(
            _Function(graph.function).eval(),
            tuple(graph.inputs.values()),
            buffer,  # type: ignore[arg-type]  # a file of bytes will do; the stub knows paths only
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=opset,
            dynamo=False,
        )
    traced = onnx.load_from_string(buffer.getvalue())
    if batch is not None:
        _fix_batch(traced.graph, batch)
    model: ModelProto = onnxsim.simplify(traced)[0]
    del model.metadata_props[:]  # the simplifier's diary
    model.ir_version = IR_VERSION
    _name_constants(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def _fix_batch(graph: GraphProto, batch: int) -> None:
    for port in (*graph.input, *graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = batch
    del graph.value_info[:]  # shapes of values on the way, where the batch is a name


def _name_constants(graph: GraphProto) -> None:
    """Turn the tracer's Constant nodes into initializers, where other tools look for weights."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)
