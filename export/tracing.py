"""Trace a function to a simplified ONNX model.

Weights are traced by reference: the tracer and the simplifier see a network's large constants as inputs,
which they neither copy nor compute with, and the constants are put in at the end.
"""

import io
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import GraphProto, ModelProto, numpy_helper
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

IR_VERSION = 8
"""Of the ONNX files: the version of opset 17's release, so that the oldest supported runtimes read them."""

LARGE = 1024
"""Values of a constant from which on it is traced by reference."""


class _Function(nn.Module):
    """A function as a module, which is what the tracer takes; large constants are its buffers."""

    def __init__(self, function: Callable[..., Any], constants: Iterable[Tensor]) -> None:
        super().__init__()
        self.function = function
        for i, constant in enumerate(constants):
            self.register_buffer(f"weight_{i}", constant)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


class _Constants(TorchFunctionMode):
    """Finds the large tensors that a function computes with and that are neither its inputs nor its own."""

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()
        self.found: dict[int, Tensor] = {}
        self._made = {id(tensor): tensor for tensor in inputs}  # kept alive, so that no id comes twice

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in pytree.tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and id(value) not in self._made and value.numel() >= LARGE:
                self.found[id(value)] = value
        out = func(*args, **(kwargs or {}))
        self._made |= {id(value): value for value in pytree.tree_leaves(out) if isinstance(value, Tensor)}
        return out


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
    with torch.no_grad(), _Constants(graph.inputs.values()) as constants:
        graph.function(*graph.inputs.values())
    module = _Function(graph.function, constants.found.values()).eval()
    names = [*graph.inputs, *graph.outputs]
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # The tracer warns about constants; parity is measured afterwards.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(graph.inputs.values()),
            buffer,  # type: ignore[arg-type]  # a file of bytes will do; the stub knows paths only
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=opset,
            export_params=False,
            do_constant_folding=False,
            dynamo=False,
        )
    traced = onnx.load_from_string(buffer.getvalue())
    if batch is not None:
        _fix_batch(traced.graph, names, batch)
    import onnxsim  # training reads checkpoints through this package and needs no graphs

    model: ModelProto = onnxsim.simplify(traced)[0]
    del model.metadata_props[:]  # the simplifier's progress output
    model.ir_version = IR_VERSION
    _name_constants(model.graph)
    onnx.checker.check_model(model, full_check=True)
    _put_in(model.graph, dict(module.named_buffers()))
    return model


def _put_in(graph: GraphProto, constants: Mapping[str, Tensor]) -> None:
    """Turn the inputs that stand for constants into initializers."""
    ports = [port for port in graph.input if port.name not in constants]
    known = dict(constants)
    nodes = []
    for node in graph.node:
        if node.op_type == "Transpose" and node.input[0] in constants:  # a linear layer without a bias
            known[node.output[0]] = constants[node.input[0]].permute(*node.attribute[0].ints)
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(constant.detach().contiguous().numpy(), name)
        for name, constant in known.items()
        if name in used
    )
    del graph.input[:], graph.node[:]
    graph.input.extend(ports)
    graph.node.extend(nodes)


def _fix_batch(graph: GraphProto, names: list[str], batch: int) -> None:
    for port in (port for port in (*graph.input, *graph.output) if port.name in names):
        port.type.tensor_type.shape.dim[0].dim_value = batch
    del graph.value_info[:]  # shapes of intermediate values, in which the batch is a name


def _name_constants(graph: GraphProto) -> None:
    """Turn the tracer's Constant nodes into initializers, where other tools expect weights."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)
