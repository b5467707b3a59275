"""Convert an FP32 package to INT8: ranges from portraits, and only the layers that picture quality allows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile

import onnx
from onnx import ModelProto

from base.errors import GpenEdgeError, PackageError
from base.files import sha256
from base.setting import Range, option
from calibration.int8.cpu_form import side_by_side
from calibration.int8.insertion import Target, quantised
from calibration.int8.linear_weights import store_linear_weights
from calibration.int8.quantisable import MEASURED, Layer, all_macs, layers_of, same_layers
from calibration.int8.range_choice import RANKED, Tops, choose_ranges
from calibration.int8.trade_off import Judge, Quality, TradeOff, weigh
from calibration.int8.trade_off_chart import chart
from calibration.samples import Sample
from calibration.watching import unpacked
from engines.package import (
    PHOTO,
    QUANTISATION_CHART,
    RESTORING,
    Graph,
    GraphName,
    Manifest,
    Package,
    Quantisation,
    QuantisedLayer,
    Trial,
    new_package,
    write_manifest,
)
from export.storage import store_halved

HELD_OUT = 8
"""Largest number of portraits for measuring quality."""

LINEAR_COST = 1.0
"""Largest loss in dB from storing the weights of linear layers as INT8."""

Progress = Callable[[str, int], Callable[[], None]]
"""Called with the name and the number of steps of a phase; returns a function to call after each step."""


@dataclass(frozen=True, kw_only=True)
class Int8Settings:
    """Requirements for an INT8 package."""

    target: Target = option(
        "gpu", "Target: gpu for TensorRT; cpu for ONNX Runtime, which fuses layers differently.", "--for"
    )
    least_psnr: float = option(
        38.0, "Lowest PSNR against FP32, on held-out portraits.", "--psnr", range=Range(10, 90), metavar="DB"
    )
    least_share: float = option(
        0.8, "Lowest share of the MACs in INT8.", "--share", range=Range(0, 1, above=True), metavar="X"
    )
    seed: int = 0
    """Seed of the samples; only recorded in the manifest."""
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

    samples  the first few are held out of the calibration, for measuring quality

    Raises PackageError if the package is not FP32 or the folder cannot be written, GpenEdgeError if the
    required quality cannot be reached. Nothing is written then.
    """
    check_source(package)
    with new_package(folder, overwrite=overwrite) as target:
        source = _measured(package, samples, settings, progress)
        chosen = _choose(source, settings, progress)
        manifest = _write(package, source, chosen, settings, target)
    return Package(folder, manifest)


@dataclass(frozen=True, eq=False)
class Measured:
    """An FP32 package and the ranges measured on portraits."""

    models: dict[GraphName, ModelProto]
    """Its restoring graphs, in the form for the target."""
    layers: list[Layer]
    """What can be INT8."""
    total: int
    """MACs of encoder and generator."""
    tops: Tops
    held_out: Sequence[Sample]
    portraits: int

    @property
    def ranges(self) -> dict[GraphName, dict[str, float]]:
        """Return T of every value."""
        return {
            graph: {name: top for name, (_, top) in values.items()} for graph, values in self.tops.items()
        }


@dataclass(frozen=True, eq=False)
class Chosen:
    """The layers chosen for INT8, and the quality they cost."""

    found: TradeOff
    share: float
    """Of the MACs."""
    linear: tuple[GraphName, ...]
    """Graphs whose linear layers store their weights as INT8."""
    quality: Quality


def _measured(
    package: Package, samples: Sequence[Sample], settings: Int8Settings, progress: Progress
) -> Measured:
    """Find the layers of a package and the ranges of their values. Raises GpenEdgeError."""
    models: dict[GraphName, ModelProto] = {
        name: unpacked(onnx.load(str(package.graph(name)))) for name in package.manifest.restoring_graphs
    }
    if settings.target == "cpu":
        models = {name: side_by_side(model) for name, model in models.items()}
    layers = [layer for graph in MEASURED for layer in layers_of(graph, models[graph])]
    total = sum(all_macs(models[graph]) for graph in MEASURED)
    _check_share(sum(layer.macs for layer in layers) / total, "at most", settings)
    held_out = min(HELD_OUT, max(2, len(samples) // 4))
    calibrating = samples[held_out:]
    tops = choose_ranges(
        models,
        layers,
        calibrating,
        outputs=settings.target == "cpu",
        threads=settings.threads,
        tick=progress("measuring ranges", len(calibrating) + min(RANKED, len(calibrating))),
    )
    return Measured(models, layers, total, tops, samples[:held_out], len(samples))


def _choose(source: Measured, settings: Int8Settings, progress: Progress) -> Chosen:
    """Choose the layers for INT8. Raises GpenEdgeError if too few qualify."""
    judge = Judge(source.models, source.ranges, settings.target, source.held_out, threads=settings.threads)
    tick = progress("measuring layers", 2 * len(source.layers))
    found = weigh(source.layers, source.total, judge, settings.least_psnr, tick)
    share = found.last.share if found.last else 0.0
    _check_share(share, f"with {settings.least_psnr:g} dB only", settings)
    linear, quality = _linear_graphs(judge, found.kept, settings.least_psnr)
    return Chosen(found, share, linear, quality)


def _write(
    package: Package, source: Measured, chosen: Chosen, settings: Int8Settings, target: Path
) -> Manifest:
    linear = [source.models[graph] for graph in chosen.linear]
    graphs: dict[GraphName, Graph] = {}
    for name, old in package.manifest.restoring_graphs.items():
        model = _converted(name, source.models, chosen.found.kept, source.ranges, settings)
        graphs[name] = _written(
            target / f"{name}.onnx", store_halved(store_linear_weights(model, linear)), old
        )
    if (parsing := package.manifest.graphs.get("parsing")) is not None:
        copyfile(package.folder / parsing.file, target / parsing.file)
        graphs["parsing"] = parsing
    quantisation = _quantisation(source, chosen, settings)
    manifest = replace(
        package.manifest,
        name=f"{package.manifest.name}-int8",
        precision="int8",
        weights="fp16",
        graphs=graphs,
        quantisation=quantisation,
    )
    (target / QUANTISATION_CHART).write_bytes(chart(manifest.name, quantisation))
    write_manifest(target, manifest)
    return manifest


def _quantisation(source: Measured, chosen: Chosen, settings: Int8Settings) -> Quantisation:
    return Quantisation(
        target=settings.target,
        portraits=source.portraits,
        held_out=len(source.held_out),
        seed=settings.seed,
        least_psnr=settings.least_psnr,
        least_share=settings.least_share,
        psnr=round(chosen.quality.psnr, 3),
        worst_psnr=round(chosen.quality.worst, 3),
        share=round(chosen.share, 6),
        linear_weights=chosen.linear,
        layers=_layers(source.layers, chosen.found, source.tops, source.total),
        curve=_curve(chosen.found),
    )


def check_source(package: Package) -> None:
    """Raise PackageError unless a package can be converted to INT8."""
    manifest = package.manifest
    if manifest.kind == PHOTO:
        raise PackageError(
            f"package {package.folder} restores the rest of a photo and has no INT8 form, which would be 43 "
            "dB from FP32, too far for clean photos, and no faster than bf16 on a CPU: for GPUs make an FP16 "
            "one with `python -m export photo --precision fp16`"
        )
    if manifest.precision != "fp32":
        raise PackageError(
            f"package {package.folder} is {manifest.precision} already: give the FP32 package of its weights"
        )
    if manifest.winograd:
        raise PackageError(
            f"package {package.folder} uses Winograd convolution, for which INT8 is too coarse: "
            "export the checkpoint without --winograd"
        )


def _check_share(share: float, how: str, settings: Int8Settings) -> None:
    if share < settings.least_share:
        raise GpenEdgeError(
            f"{how} {share:.1%} of the arithmetic can be INT8, {settings.least_share:.1%} was requested: "
            "nothing was written; lower --share or --psnr, or give other portraits"
        )


def _linear_graphs(
    judge: Judge, kept: Sequence[Layer], least_psnr: float
) -> tuple[tuple[GraphName, ...], Quality]:
    """Return the graphs whose linear layers may store INT8 weights, and the quality with them.

    This saves only file size, so it may cost hardly any quality.
    """
    chosen: tuple[GraphName, ...] = ()
    quality = judge(kept)
    least = max(least_psnr, quality.psnr - LINEAR_COST)
    for graph in reversed(RESTORING):  # later graphs usually cost less
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
        pairs = same_layers(ours, models[source], model)
        for a, b in pairs:
            spans.update(zip(b.inputs, (ranges[source][key] for key in a.inputs), strict=True))
            if settings.target == "cpu":
                spans.update(zip(b.outputs, (ranges[source][key] for key in a.outputs), strict=True))
        layers += [b for _, b in pairs]
    return quantised(model, layers, spans, settings.target)


def _written(path: Path, model: ModelProto, old: Graph) -> Graph:
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
