"""Run the graphs of a package in two runtimes on the same portraits, and find where the results differ."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from base.errors import EngineError, GpenEdgeError, PackageError
from base.text import cause_of
from engines import tensorrt_api
from engines.gpu import find_gpu
from engines.openvino_api import import_openvino
from engines.package import PHOTO, RESTORING, GraphName, Package
from engines.portrait import portraits

RuntimeName = Literal["onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]
COMPARED: tuple[GraphName, ...] = (*RESTORING, "step", "fused", PHOTO)
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 5e-2}
"""Differences that rounding explains, by a package's precision, relative to an output's largest value."""
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Kinds of nodes that count as layers: those with weights."""
_GAIN = 0.5

Values = dict[str, NDArray[Any]]
Model = bytes


@dataclass(frozen=True)
class Difference:
    """The difference of two runtimes in one output."""

    name: str
    """The name of the output, or of the layer that computes it."""
    largest: float
    """Largest difference over both portraits, relative to the largest value."""
    parts: bool
    """Whether it exceeds the tolerance."""


@dataclass(frozen=True)
class GraphDifference:
    """The differences of two runtimes in one graph."""

    graph: GraphName
    outputs: tuple[Difference, ...]
    layers: tuple[Difference, ...] = ()
    """In the order in which they are computed, if requested."""

    @property
    def parts(self) -> bool:
        """Return whether any output, or any layer that was compared, exceeds the tolerance."""
        return any(each.parts for each in (*self.outputs, *self.layers))

    @property
    def first_layer(self) -> Difference | None:
        """Return the first layer that exceeds the tolerance."""
        return next((layer for layer in self.layers if layer.parts), None)


def compare(
    package: Package, other: Package, runtime: RuntimeName, tolerance: float, *, layers: bool = False
) -> Iterator[GraphDifference]:
    """Compare a package in ONNX Runtime with another, or with itself, in a runtime; yield graph by graph.

    Each graph gets the same inputs in both: those that the package's own graphs give it in ONNX Runtime.

    tolerance  relative to an output's largest value
    layers     also compare the outputs of the layers within each graph

    Raises GpenEdgeError if Polygraphy or the runtime is missing or fails, or if the packages differ in form.
    """
    _check(package, other, runtime)
    open_reference, open_runner = _RUNTIMES["onnxruntime"], _RUNTIMES[runtime]
    known = list(_pictures(package))
    for graph in COMPARED:
        if not {graph} <= package.manifest.graphs.keys() & other.manifest.graphs.keys():
            continue
        feeds = [_feed(package, graph, values) for values in known]
        models = [each.graph(graph).read_bytes() for each in (package, other)]
        names: dict[str, str] = {}
        if layers:
            models, names = _with_layers(models)
        runners = (open_reference(models[0]), open_runner(models[1], feeds[0]))
        pairs = _run(graph, runners, feeds)
        for values, (reference, _) in zip(known, pairs, strict=True):
            values |= {name: reference[name] for name in _outputs(package, graph)}
        found = _differences(pairs, tolerance)
        yield GraphDifference(
            graph,
            tuple(found[name] for name in _outputs(package, graph)),
            tuple(Difference(layer, found[name].largest, found[name].parts) for name, layer in names.items()),
        )


def _check(package: Package, other: Package, runtime: RuntimeName) -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import polygraphy  # noqa: F401
    except ImportError as error:
        raise EngineError(f"comparing needs {error.name}: pip install 'gpen-edge[compare]'") from error
    if runtime == "openvino":
        import_openvino()
    elif runtime != "onnxruntime":
        tensorrt_api.load("rtx" if runtime == "tensorrt-rtx" else "tensorrt")
        if find_gpu() is None:
            raise EngineError(f"{runtime} needs an NVIDIA GPU with a working driver: compare --with openvino")
    for graph in (name for name in package.manifest.required if name != "step"):
        forms = [each.manifest.graphs.get(graph) for each in (package, other)]
        ports = [form and (form.inputs, form.outputs) for form in forms]
        if ports[0] != ports[1]:
            raise PackageError(
                f"{other.folder} has another {graph} than {package.folder}: compare like with like"
            )


def _pictures(package: Package) -> Iterator[Values]:
    """Yield the inputs that show a portrait, by their names in the graphs."""
    if package.manifest.kind == PHOTO:
        (port,) = package.manifest.graphs[PHOTO].inputs
        height, width = (int(side) for side in port.shape[2:])
        for portrait in portraits(max(height, width)):
            yield {port.name: np.ascontiguousarray(portrait[None, :, :height, :width]) / 2 + 0.5}
        return
    for crop in portraits(package.manifest.size):
        yield dict.fromkeys(("crop", "estimate", "input"), crop[None])


def _feed(package: Package, graph: GraphName, values: Values) -> Values:
    """Return a graph's inputs, from what is known of a portrait."""
    size = package.manifest.size
    gains = {
        "picture_gain": np.full((1, 1, size, size), _GAIN, np.float32),
        "latent_gain": np.full((1, 1), _GAIN, np.float32),
    }
    return OrderedDict(
        (port.name, (values | gains)[port.name]) for port in package.manifest.graphs[graph].inputs
    )


def _outputs(package: Package, graph: GraphName) -> list[str]:
    return [port.name for port in package.manifest.graphs[graph].outputs]


def _with_layers(models: list[Model]) -> tuple[list[Model], dict[str, str]]:
    """Return models that also output the results of their layers, and the names of these outputs with their
    layers.

    Only layers that both models have, under the same name of their output.
    """
    from onnx import load_model_from_string
    from polygraphy.backend.onnx import modify_outputs

    loaded = [load_model_from_string(model) for model in models]
    found = [
        {node.output[0]: node.name or node.output[0] for node in model.graph.node if node.op_type in _LAYERS}
        for model in loaded
    ]
    names = {output: layer for output, layer in found[0].items() if output in found[1]}
    marked = []
    for model in loaded:
        own = [output.name for output in model.graph.output]
        outputs = [*own, *(name for name in names if name not in own)]
        marked.append(modify_outputs(model, outputs=outputs).SerializeToString())
    return marked, names


def _run(graph: GraphName, runners: tuple[Any, Any], feeds: list[Values]) -> list[tuple[Any, Any]]:
    """Return the results of both runners for each feed, as Polygraphy's iterations."""
    from polygraphy.comparator import Comparator
    from polygraphy.logger import G_LOGGER

    try:
        with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
            (_, reference), (_, found) = Comparator.run(list(runners), data_loader=feeds)
    except GpenEdgeError:
        raise
    except Exception as error:  # runtimes' own exceptions, and Polygraphy's
        raise EngineError(f"cannot run {graph}.onnx in both runtimes: {cause_of(error)}") from error
    return list(zip(reference, found, strict=True))


def _differences(pairs: list[tuple[Any, Any]], tolerance: float) -> dict[str, Difference]:
    """Return the difference of every output, by its name.

    Computed here: Polygraphy's comparison also prints every output and takes quantiles, most of the time.
    """
    found: dict[str, float] = {}
    for reference, other in pairs:
        for name in reference:
            expected = np.asarray(reference[name], np.float64)
            size = max(float(np.abs(expected).max()), 1e-6)
            largest = np.abs(expected - other[name]).max() / size
            found[name] = float(np.maximum(found.get(name, 0.0), largest))  # NaN stays NaN
    return {name: Difference(name, largest, not largest <= tolerance) for name, largest in found.items()}


def _onnxruntime(model: Model, feed: Mapping[str, Any] | None = None) -> Any:
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx

    return OnnxrtRunner(SessionFromOnnx(model, providers=["cpu"]), name="onnxruntime, the reference")


def _openvino(model: Model, feed: Mapping[str, Any] | None = None) -> Any:
    from engines.openvino_runner import OpenVinoRunner

    return OpenVinoRunner(model)


def _tensorrt(runtime: tensorrt_api.RuntimeName, model: Model, feed: Mapping[str, Any] | None = None) -> Any:
    """Return a runner whose engine is built for one portrait, without the cache."""
    import os

    os.environ["POLYGRAPHY_USE_TENSORRT_RTX"] = str(int(runtime == "rtx"))  # read when it is imported
    from polygraphy.backend.trt import (
        CreateConfig,
        EngineFromNetwork,
        NetworkFromOnnxBytes,
        Profile,
        TrtRunner,
    )

    profile = Profile()
    for name, value in (feed or {}).items():
        profile.add(name, value.shape, value.shape, value.shape)
    network = NetworkFromOnnxBytes(model, strongly_typed=True)
    return TrtRunner(EngineFromNetwork(network, CreateConfig(profiles=[profile])), name=runtime)


_RUNTIMES: dict[RuntimeName, Callable[..., Any]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorrt": lambda model, feed: _tensorrt("tensorrt", model, feed),
    "tensorrt-rtx": lambda model, feed: _tensorrt("rtx", model, feed),
}
