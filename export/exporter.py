"""Export a checkpoint to a model package."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onnx import ModelProto, TensorProto, ValueInfoProto

from base.errors import GpenEdgeError
from base.files import sha256
from base.setting import option
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


@dataclass(frozen=True)
class ExportOptions:
    """The form of a package."""

    name: str | None = option(None, "Name of the package. (default: the checkpoint's file name)")
    licence: str | None = option(
        None, "Licence of the weights. (default: that of the published weights of this kind)"
    )
    precision: Literal["fp32", "fp16"] = option(
        "fp32", "Precision of the convolutions; fp16 is for GPUs, and cannot overflow."
    )
    fused: bool = option(False, "Also write fused.onnx, in the form that other tools load.")
    winograd: bool = option(False, "For CPUs: wide layers need fewer multiplications and more memory.")
    store: Literal["fp32", "fp16"] = option(
        "fp32", "Storage of FP32 weights; fp16 halves the files, while computation stays FP32."
    )
    loop: Loop | None = option(
        None,
        "What the loop updates between passes, depending on how the weights were trained: renewed encodes "
        "the current estimate, moved updates only the latent code, held takes a single pass. (default: moved "
        "for GPEN, unless python -m calibration latents finds that held is better)",
    )
    noise: Literal["stored", "none"] = option(
        "stored",
        "Noise that a generator such as GFPGAN's adds: the file's own, the same in every run, or none.",
    )
    opset: Literal[17, 18, 19, 20] = option(17, "The ONNX opset.")
    batch: Literal[1] | None = option(
        None,
        "1: graphs of static shapes, for tools that need them; faces then go one by one. (default: any)",
    )


def export_package(
    checkpoint: Path,
    folder: Path,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> tuple[Package, dict[GraphName, Parity]]:
    """Write the package of a checkpoint, after comparing every graph with the published network.

    The same checkpoint and options always give the same bytes.

    Raises CheckpointError and PackageError, and GpenEdgeError if a graph computes wrong values or options
    contradict each other. Nothing is left behind on failure.
    """
    options = options or ExportOptions()
    renewed = options.loop == "renewed"
    form = _form(options.precision, winograd=options.winograd)
    with memory_kept(), new_package(folder, overwrite=overwrite) as target:
        progress("reading the checkpoint")
        kind, network = load_restoring(checkpoint)
        if options.noise == "none" and network.without_noise:
            network = network.without_noise()
        progress("running the published network")
        expected = expected_of(network, parity.crops(network.size), renewed=renewed)
        halved = "fp16" in (options.precision, options.store)
        compare = Comparison(
            expected, _tolerance(options.precision, options.store), options.batch, halved=halved
        )
        parities: dict[GraphName, Parity] = {}
        graphs: dict[GraphName, Graph] = {}
        traced = traced_graphs(network, fused=options.fused, form=form, renewed=renewed)
        for graph_name in traced:
            progress(f"exporting the {graph_name}")
            file = target / f"{graph_name}.onnx"
            graphs[graph_name] = _write_traced(traced[graph_name], options, file)
            parities[graph_name] = compare(graph_name, file)
        manifest = Manifest(
            name=options.name or checkpoint.stem,
            network={"kind": kind, **network.numbers},
            size=network.size,
            template=network.template,
            precision=options.precision,
            winograd=options.winograd,
            opset=options.opset,
            batch=options.batch,
            weights=options.store,
            loop=options.loop,
            latents=Latents(portraits=0, held=True) if network.held and options.loop is None else None,
            source=Source(sha256(checkpoint), options.licence or network.licence),
            graphs=graphs,
        )
        write_manifest(target, manifest)
    return Package(folder, manifest), parities


def _write_traced(graph: TracedGraph, options: ExportOptions, file: Path) -> Graph:
    """Trace a graph and write it; its weights are in memory until this returns."""
    model = to_onnx(graph, options.opset, options.batch)
    return write_graph(store_halved(model) if options.store == "fp16" else model, file)


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
