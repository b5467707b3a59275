"""How close each graph of a package comes to the machine's limits (roofline model, Williams et al., 2009)."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.setting import Range, option
from bench import timing
from bench.benchmark import Benchmark, Tick
from bench.report import Report
from bench.roofline.counting import GraphWork, count
from bench.roofline.report import Peak, Standing, chart, roofline_report
from bench.threads import best_threads
from engines.package import open_package
from runtime.onnx_session import open_network

PRODUCT = 2048
"""Rows and columns of the matrices whose product shows the machine's peak."""
COPIED = 2**28
"""Bytes of the array whose copy measures the memory's peak rate."""


@dataclass(frozen=True)
class RooflineSettings:
    """What is measured, and how."""

    package: str | None = option(
        None, "Folder or name of a package, in place of the bundled default.", "PACKAGE"
    )
    threads: int | None = option(None, "CPU threads. (default: as many as are faster here)", range=Range(1))
    runs: int = option(7, "Number of runs of each graph, in turns.", range=Range(1))


def steps(settings: RooflineSettings) -> int:
    """Return how many steps `measure` reports. Raises PackageError."""
    graphs = len(open_package(settings.package, kind="face").manifest.graphs)
    return graphs + (graphs + 2) * (settings.runs + 1)


def measure(settings: RooflineSettings, tick: Tick) -> Report:
    """Count each graph's work, and time it in turns with a matrix product and a copy. Raises PackageError."""
    package = open_package(settings.package)
    threads = settings.threads or best_threads()
    torch.set_num_threads(threads)
    paths: dict[str, Path] = {name: package.graph(name) for name in package.manifest.graphs}
    counted = {name: count(path) for name, path in paths.items()}
    works: dict[str, Callable[[], object]] = {"matrix product": _product(), "copy": _copy()}
    works |= {name: _graph(path, threads) for name, path in paths.items()}
    seconds = timing.in_turns(works, settings.runs, tick)
    peak = Peak(2e-9 * PRODUCT**3 / min(seconds["matrix product"]), 2e-9 * COPIED / min(seconds["copy"]))
    spent: dict[str, dict[str, float]] = {}
    for name, path in paths.items():
        spent[name] = _by_operation(path, threads, settings.runs)
        tick()
    standings = [_standing(name, work, seconds[name], peak) for name, work in counted.items()]
    return roofline_report(package.manifest.name, threads, peak, standings, counted, spent, seconds)


def _product() -> Callable[[], object]:
    a, b = (torch.rand(PRODUCT, PRODUCT) for _ in range(2))
    into = torch.empty(PRODUCT, PRODUCT)
    return lambda: torch.mm(a, b, out=into)


def _copy() -> Callable[[], object]:
    source = torch.zeros(COPIED // 4)
    target = torch.ones(COPIED // 4)
    return lambda: target.copy_(source)


def _graph(path: Path, threads: int) -> Callable[[], object]:
    session = open_network(path, threads)
    return partial(session.run, None, _inputs(session))


def _inputs(session: Any) -> dict[str, Any]:
    """Return random inputs, a batch of one, always the same."""
    rng = np.random.default_rng(0)
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return {
        value.name: rng.uniform(-1, 1, (1, *value.shape[1:])).astype(types[value.type])
        for value in session.get_inputs()
    }


def _by_operation(path: Path, threads: int, runs: int) -> dict[str, float]:
    """Return the seconds that one run spends in each kind of node, as ONNX Runtime fused and named them."""
    with tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as folder:
        session = open_network(path, threads, profile=Path(folder) / "profile")
        inputs = _inputs(session)
        for _ in range(runs + 1):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            durations[event["args"]["op_name"], event["name"]].append(1e-6 * event["dur"])
    found: dict[str, float] = defaultdict(float)
    for (operation, _), times in durations.items():
        found[operation] += timing.median(times[1:])
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _standing(name: str, work: GraphWork, seconds: list[float], peak: Peak) -> Standing:
    least = min(seconds)
    gflops = 2e-9 * work.macs / least
    intensity = 2 * work.macs / work.bytes
    bound = sum(
        max(2e-9 * node.macs / peak.gflops, 1e-9 * node.bytes / peak.gigabytes) for node in work.nodes
    )
    return Standing(
        graph=name,
        macs=work.macs,
        weight_bytes=work.weight_bytes,
        input_bytes=work.input_bytes,
        output_bytes=work.output_bytes,
        moved_bytes=work.bytes,
        median_s=timing.median(seconds),
        least_s=least,
        gflops=gflops,
        of_peak=gflops / peak.gflops,
        intensity=intensity,
        best_intensity=2 * work.macs / work.least_bytes,
        bound_s=bound,
        of_bound=bound / least,
        bound_by="computing" if intensity >= peak.ridge else "memory",
    )


BENCHMARK = Benchmark(RooflineSettings, steps, measure, chart)
