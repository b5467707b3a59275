"""Export a checkpoint to a model package."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from onnx import ModelProto, TensorProto, ValueInfoProto

from base.errors import GpenEdgeError
from base.files import sha256
from engines.package import (
    Graph,
    GraphName,
    Latents,
    Loop,
    Manifest,
    Package,
    Port,
    Source,
    new_package,
    write_manifest,
)
from export import parity
from export.architectures import load_restoring
from export.kept_memory import memory_kept
from export.parity import Comparison, Parity
from export.restoring import Form, expected_of, traced_graphs
from export.storage import store_halved
from export.tracing import TracedGraph, to_onnx

Progress = Callable[[str], None]
"""Called with the name of each step when it begins."""


def export_package(
    checkpoint: Path,
    folder: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    fused: bool = False,
    winograd: bool = False,
    precision: Literal["fp32", "fp16"] = "fp32",
    opset: int = 17,
    store: Literal["fp32", "fp16"] = "fp32",
    loop: Loop | None = None,
    noise: Literal["stored", "none"] = "stored",
    batch: Literal[1] | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> tuple[Package, dict[GraphName, Parity]]:
    """Write the package of a checkpoint, after comparing every graph with the published network.

    The same checkpoint always gives the same bytes.

    name      the package's name; None uses the checkpoint's file name
    licence   of the weights, kept in the manifest; None uses that of the published weights of this kind
    fused     also write `fused.onnx`, `input` → `output`, in the form that other tools load
    winograd  compute wide layers by Winograd convolution: for CPUs (export/winograd.py)
    precision "fp16": convolutions in half precision, for GPUs (export/half.py)
    store     storage of the weights of FP32 layers: "fp16" halves the files, computation stays FP32
    loop      what the weights were trained for; None leaves it to `python -m calibration latents`
    noise     the noise that a generator adds: that of the file's buffers, as constants, or none
    batch     1: every graph accepts one crop, with static shapes throughout, for tools that need them;
              None: any number of crops

    Raises CheckpointError and PackageError, and GpenEdgeError if a graph computes wrong values or options
    contradict each other. Nothing is left behind on failure.
    """
    renewed = loop == "renewed"
    form = _form(precision, winograd=winograd)
    with memory_kept(), new_package(folder, overwrite=overwrite) as target:
        progress("reading the checkpoint")
        kind, network = load_restoring(checkpoint)
        if noise == "none" and network.without_noise:
            network = network.without_noise()
        progress("running the published network")
        expected = expected_of(network, parity.crops(network.size), renewed=renewed)
        halved = "fp16" in (precision, store)
        compare = Comparison(expected, _tolerance(precision, store), batch, halved=halved)
        parities: dict[GraphName, Parity] = {}
        graphs: dict[GraphName, Graph] = {}
        traced = traced_graphs(network, fused=fused, form=form, renewed=renewed)
        for graph_name in traced:
            progress(f"exporting the {graph_name}")
            file = target / f"{graph_name}.onnx"
            graphs[graph_name] = _write_traced(traced[graph_name], opset, batch, store, file)
            parities[graph_name] = compare(graph_name, file)
        manifest = Manifest(
            name=name or checkpoint.stem,
            network={"kind": kind, **network.numbers},
            size=network.size,
            template=network.template,
            precision=precision,
            winograd=winograd,
            opset=opset,
            batch=batch,
            weights=store,
            loop=loop,
            latents=Latents(portraits=0, held=True) if network.held and loop is None else None,
            source=Source(sha256(checkpoint), licence or network.licence),
            graphs=graphs,
        )
        write_manifest(target, manifest)
    return Package(folder, manifest), parities


def _write_traced(
    graph: TracedGraph, opset: int, batch: int | None, store: Literal["fp32", "fp16"], file: Path
) -> Graph:
    """Trace a graph and write it; its weights are in memory until this returns."""
    model = to_onnx(graph, opset, batch)
    return write_graph(store_halved(model) if store == "fp16" else model, file)


def _form(precision: str, *, winograd: bool) -> Form:
    if precision != "fp16":
        return "winograd" if winograd else "exact"
    if winograd:
        raise GpenEdgeError(
            "--winograd is for CPUs, and its rounding error is too large for --precision fp16: leave one out"
        )
    return "half"


def _tolerance(precision: str, store: str) -> float:
    if precision == "fp16":
        return parity.HALF_TOLERANCE
    return parity.HALVED_TOLERANCE if store == "fp16" else parity.TOLERANCE


def step_count(*, fused: bool) -> int:
    """Return how many times `export_package` reports progress."""
    return 6 + fused


def write_graph(model: ModelProto, path: Path) -> Graph:
    """Write a graph of a package; return its entry for the manifest."""
    content = model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    inputs, outputs = (tuple(map(_port, values)) for values in (model.graph.input, model.graph.output))
    return Graph(path.name, hashlib.sha256(content).hexdigest(), inputs, outputs)


def _port(value: ValueInfoProto) -> Port:
    tensor = value.type.tensor_type
    shape = tuple(length.dim_param or length.dim_value for length in tensor.shape.dim)
    return Port(value.name, "float16" if tensor.elem_type == TensorProto.FLOAT16 else "float32", shape)
