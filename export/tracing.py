"""Trace a function to a simplified ONNX model."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx
import onnxsim
import torch
from onnx import GraphProto, ModelProto
from torch import Tensor, nn

IR_VERSION = 8
"""Of the ONNX files: the version of opset 17's release, so that the oldest supported runtimes read them."""


class _Function(nn.Module):
    """A function as a module, which the tracer needs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


@dataclass(frozen=True)
class TracedGraph:
    """A graph to export: its function, example inputs by name, and its outputs' names."""

    function: Callable[..., Any]
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


def to_onnx(graph: TracedGraph, opset: int, batch: int | None = None) -> ModelProto:
    """Trace a graph to a checked, simplified ONNX model.

    batch  the only batch size that it accepts, with static shapes throughout; None leaves it dynamic
    """
    names = [*graph.inputs, *graph.outputs]
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the tracer's warnings about constants: parity is measured afterwards
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
    del model.metadata_props[:]  # the simplifier's progress output
    model.ir_version = IR_VERSION
    _name_constants(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def _fix_batch(graph: GraphProto, batch: int) -> None:
    for port in (*graph.input, *graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = batch
    del graph.value_info[:]  # shapes of intermediate values, in which the batch is a name


def _name_constants(graph: GraphProto) -> None:
    """Turn the tracer's Constant nodes into initializers, where other tools expect weights."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)
