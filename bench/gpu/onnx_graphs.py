"""Compare the graphs of a package in ONNX Runtime on a GPU with the same graphs on the CPU."""

import statistics
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.decibels import decibels
from engines.package import Graph, GraphName, Package, open_package
from runtime.network.backends.onnxruntime import providers
from runtime.onnx_session import open_network

BATCHES = (1, 4, 8)
TURNS = 12
ORDER: tuple[GraphName, ...] = ("encoder", "mapping", "generator", "step")
Tensors = dict[str, NDArray[Any]]


def onnx_graphs(where: str | None = None) -> dict[str, Any]:
    """Return the figures of each graph. Raises PackageError and BackendError."""
    package = open_package(where)
    known: Tensors = {}
    found: dict[str, Any] = {}
    for name in ORDER:
        graph = package.manifest.graphs[name]
        inputs = {port.name: _input(port.name, port.shape, known) for port in graph.inputs}
        outputs = _cpu(package, name, graph, inputs)
        found[name] = _on_gpu(package, name, graph, inputs, outputs)
        known |= inputs | outputs
    return found


def _input(name: str, shape: tuple[int | str, ...], known: Tensors) -> NDArray[Any]:
    """Return an input for the largest batch: an output of an earlier graph, or random numbers."""
    name = {"estimate": "crop"}.get(name, name)
    if name in known:
        return known[name]
    sides = [max(BATCHES) if isinstance(length, str) else length for length in shape]
    return np.random.default_rng(0).uniform(-1, 1, sides).astype(np.float32)


def _cpu(package: Package, name: GraphName, graph: Graph, inputs: Tensors) -> Tensors:
    session = open_network(package.graph(name))
    names = [port.name for port in graph.outputs]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _on_gpu(
    package: Package, name: GraphName, graph: Graph, inputs: Tensors, expected: Tensors
) -> dict[str, Any]:
    """Return the worst output's dB from the CPU's, and ms a face with inputs and outputs on the GPU."""
    import onnxruntime

    session = open_network(package.graph(name), None, providers("cuda", 0, graph.inputs, max(BATCHES)))
    if session.get_providers()[0] == "CPUExecutionProvider":
        raise RuntimeError("ONNX Runtime could not start its CUDA provider")
    figures: dict[str, Any] = {}
    for batch in BATCHES:
        binding = session.io_binding()
        for key, value in inputs.items():
            part = np.ascontiguousarray(value[:batch])
            binding.bind_ortvalue_input(key, onnxruntime.OrtValue.ortvalue_from_numpy(part, "cuda", 0))
        for key in expected:
            binding.bind_output(key, "cuda")
        times = []
        for _ in range(TURNS):
            started = time.perf_counter()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            times.append(1e3 * (time.perf_counter() - started))
        found = dict(zip(expected, binding.copy_outputs_to_cpu(), strict=True))
        figures[f"dB from the CPU, batch {batch}"] = round(
            min(_decibels(found[key], value) for key, value in expected.items()), 1
        )
        figures[f"ms a face, batch {batch}"] = round(statistics.median(times) / batch, 3)
    return figures


def _decibels(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the PSNR of the first rows, with the range of all expected values as peak."""
    exact = expected.astype(np.float64)
    error = float(np.square(found - exact[: len(found)]).mean())
    return decibels(max(error, 1e-20), max(float(np.ptp(exact)), 1e-10))
