"""An FP32 package becomes an INT8 one: ranges from portraits, and only where the picture allows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile

import onnx
from onnx import ModelProto

from base.errors import GpenEdgeError, PackageError
from calibration.cpu_form import side_by_side
from calibration.insertion import Target, quantised
from calibration.linear_weights import store_linear_weights
from calibration.quantisable import MEASURED, Layer, all_macs, layers_of, same_layers
from calibration.range_choice import RANKED, Tops, choose_ranges
from calibration.samples import Sample
from calibration.trade_off import WAY, Judge, Quality, TradeOff, weigh
from calibration.trade_off_chart import chart
from calibration.watching import unpacked
from engines.package import (
    QUANTISATION_CHART,
    Graph,
    GraphName,
    Package,
    Quantisation,
    QuantisedLayer,
    Trial,
    new_package,
    sha256,
    write_manifest,
)
from export.storage import store_halved

HELD_OUT = 8
"""Portraits at most that the quality is measured on."""

LINEAR_COST = 1.0
"""dB that the weights of linear layers in INT8 may cost."""

Progress = Callable[[str, int], Callable[[], None]]
"""Told what begins and of how many steps; gives what is to be called after each."""


@dataclass(frozen=True, kw_only=True)
class Int8Settings:
    """What is asked of an INT8 package."""

    target: Target = "gpu"
    least_psnr: float = 38.0
    """dB against FP32, on held-out portraits."""
    least_share: float = 0.8
    """Of the MACs in INT8."""
    seed: int = 0
    """That the samples were made with; only kept in the manifest."""
    threads: int = 0


def to_int8(
    package: Package,
    samples: Sequence[Sample],
    folder: Path,
    settings: Int8Settings,
    *,
    overwrite: bool = False,
    progress: Progress = lambda what, steps: lambda: None,
) -> Package:
    """Write the INT8 package of an FP32 one. The same samples and settings give the same bytes.

    samples  the first few are held out of the calibration, and the quality is measured on them

    Raises PackageError when the package is not FP32 or the folder cannot be written, GpenEdgeError when the
    bar cannot be held. Nothing is written then.
    """
    check_source(package)
    models: dict[GraphName, ModelProto] = {
        name: unpacked(onnx.load(str(package.graph(name))))
        for name in package.manifest.graphs
        if name != "parsing"
    }
    if settings.target == "cpu":
        models = {name: side_by_side(model) for name, model in models.items()}
    layers = [layer for graph in MEASURED for layer in layers_of(graph, models[graph])]
    total = sum(all_macs(models[graph]) for graph in MEASURED)
    _check_share(sum(layer.macs for layer in layers) / total, "at most", settings)
    held_out = min(HELD_OUT, max(2, len(samples) // 4))
    calibrating = samples[held_out:]
    with new_package(folder, overwrite=overwrite) as target:
        tops = choose_ranges(
            models,
            layers,
            calibrating,
            outputs=settings.target == "cpu",
            threads=settings.threads,
            tick=progress("measuring ranges", len(calibrating) + min(RANKED, len(calibrating))),
        )
        ranges = {graph: {name: top for name, (_, top) in values.items()} for graph, values in tops.items()}
        judge = Judge(models, ranges, settings.target, samples[:held_out], threads=settings.threads)
        found = weigh(
            layers, total, judge, settings.least_psnr, progress("measuring layers", 2 * len(layers))
        )
        share = found.last.share if found.last else 0.0
        _check_share(share, f"with {settings.least_psnr:g} dB only", settings)
        linear, quality = _linear_graphs(judge, found.kept, settings.least_psnr)

        def convert(name: GraphName) -> ModelProto:
            model = _converted(name, models, found.kept, ranges, settings)
            return store_halved(store_linear_weights(model, [models[graph] for graph in linear]))

        graphs: dict[GraphName, Graph] = {
            name: _write(target / f"{name}.onnx", convert(name), old)
            for name, old in package.manifest.graphs.items()
            if name != "parsing"
        }
        quantisation = Quantisation(
            target=settings.target,
            portraits=len(samples),
            held_out=held_out,
            seed=settings.seed,
            least_psnr=settings.least_psnr,
            least_share=settings.least_share,
            psnr=round(quality.psnr, 3),
            worst_psnr=round(quality.worst, 3),
            share=round(share, 6),
            linear_weights=linear,
            layers=_layers(layers, found, tops, total),
            curve=_curve(found),
        )
        manifest = replace(
            package.manifest,
            name=f"{package.manifest.name}-int8",
            precision="int8",
            weights="fp16",
            graphs={
                **graphs,
                **{key: graph for key, graph in package.manifest.graphs.items() if key == "parsing"},
            },
            quantisation=quantisation,
        )
        if (parsing := package.manifest.graphs.get("parsing")) is not None:
            copyfile(package.folder / parsing.file, target / parsing.file)
        (target / QUANTISATION_CHART).write_bytes(chart(manifest.name, quantisation))
        write_manifest(target, manifest)
    return Package(folder, manifest)


def check_source(package: Package) -> None:
    """Raise PackageError unless a package can be made INT8."""
    manifest = package.manifest
    if manifest.precision != "fp32":
        raise PackageError(
            f"package {package.folder} is {manifest.precision} already: give the FP32 package of its weights"
        )
    if manifest.winograd:
        raise PackageError(
            f"package {package.folder} has Winograd's filtering, which INT8 is too coarse for: "
            "export the checkpoint without --winograd"
        )


def _check_share(share: float, how: str, settings: Int8Settings) -> None:
    if share < settings.least_share:
        raise GpenEdgeError(
            f"{how} {share:.1%} of the arithmetic can be INT8, {settings.least_share:.1%} was asked for: "
            "nothing was written; lower --share or --psnr, or give other portraits"
        )


def _linear_graphs(
    judge: Judge, kept: Sequence[Layer], least_psnr: float
) -> tuple[tuple[GraphName, ...], Quality]:
    """Return the graphs whose linear layers' weights may be INT8, and the quality with them.

    They save nothing but bytes, so the picture may hardly suffer.
    """
    chosen: tuple[GraphName, ...] = ()
    quality = judge(kept)
    least = max(least_psnr, quality.psnr - LINEAR_COST)
    for graph in reversed(WAY):  # the later, the less it usually costs
        tried = judge(kept, (*chosen, graph))
        if tried.psnr >= least:
            chosen, quality = (*chosen, graph), tried
    return chosen, quality


def _converted(
    name: GraphName,
    models: dict[GraphName, ModelProto],
    kept: Sequence[Layer],
    ranges: dict[GraphName, dict[str, float]],
    settings: Int8Settings,
) -> ModelProto:
    """Return a graph of the package with its layers in INT8."""
    sources: dict[GraphName, tuple[GraphName, ...]] = {
        "encoder": ("encoder",),
        "generator": ("generator",),
        "step": ("encoder",),
        "fused": ("encoder", "generator"),
    }
    model = models[name]
    if not any(node.op_type == "Conv" for node in model.graph.node):  # a step that only moves the estimate
        return model
    layers: list[Layer] = []
    spans: dict[str, float] = {}
    for source in sources.get(name, ()):
        ours = [layer for layer in kept if layer.graph == source]
        theirs = same_layers(ours, models[source], model)
        for a, b in zip(ours, theirs, strict=True):
            spans.update(zip(b.inputs, (ranges[source][key] for key in a.inputs), strict=True))
            if settings.target == "cpu":
                spans.update(zip(b.outputs, (ranges[source][key] for key in a.outputs), strict=True))
        layers += theirs
    return quantised(model, layers, spans, settings.target)


def _write(path: Path, model: ModelProto, old: Graph) -> Graph:
    path.write_bytes(model.SerializeToString(deterministic=True))
    return replace(old, file=path.name, sha256=sha256(path))


def _layers(layers: Sequence[Layer], found: TradeOff, tops: Tops, total: int) -> tuple[QuantisedLayer, ...]:
    kept = set(found.kept)
    return tuple(
        QuantisedLayer(
            layer.name,
            layer.graph,
            layer.convolutions,
            round(layer.macs / total, 6),
            "int8" if layer in kept else "fp32",
            round(alone.psnr, 3),
            {name: tops[layer.graph][name][0] for name in layer.inputs},
            {name: round(tops[layer.graph][name][1], 6) for name in layer.inputs},
        )
        for layer, alone in zip(layers, found.alone, strict=True)
    )


def _curve(found: TradeOff) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            step.layer.name,
            round(step.share, 6),
            round(step.quality.psnr, 3),
            round(step.quality.worst, 3),
            step.kept,
        )
        for step in found.steps
    )
