"""How near each graph of a package comes to what the machine can do (Williams et al., 2009)."""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base import command_line
from bench import timing
from bench.measure import of_times
from bench.options import add_output, positive
from bench.report import Report, Row, Table, measured
from bench.roofline.counting import GraphWork, count
from engines.package import Package, open_package
from runtime.network.backends.sessions import session_options

PRODUCT = 2048
"""Rows and columns of the matrices whose product shows the machine's peak."""
COPIED = 2**28
"""Bytes of the array whose copy shows the memory's."""
SHOWN = 8
"""Operations in the table of times."""


@dataclass(frozen=True)
class RooflineSettings:
    """What is measured, and how."""

    package: str | None = None
    """Folder or name; None is the bundled default."""
    threads: int = 2
    runs: int = 7


@dataclass(frozen=True)
class Peak:
    """What the machine can do, by the fastest of some runs."""

    gflops: float
    """Of a large FP32 matrix product."""
    gigabytes: float
    """Read and written, per second, by a large copy."""

    @property
    def ridge(self) -> float:
        """Return the operations per byte above which computing takes longer than moving."""
        return self.gflops / self.gigabytes


@dataclass(frozen=True)
class Standing:
    """One graph, against the peak."""

    graph: str
    macs: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    moved_bytes: int
    """When every node reads from memory and writes to it."""
    median_s: float
    least_s: float
    gflops: float
    """By the fastest run, as the peak: what else runs on the machine only ever makes it slower."""
    of_peak: float
    intensity: float
    """Operations per byte moved."""
    best_intensity: float
    """Operations per byte that must be moved: weights, inputs and outputs, once."""
    bound_s: float
    """The sum over the nodes of what computing or moving takes at least, whichever is longer."""
    of_bound: float
    """bound_s / least_s. Above 1 where data stayed in caches, or nodes were fused."""
    bound_by: str
    """`computing` or `memory`: what the graph's intensity meets first."""


def steps(settings: RooflineSettings) -> int:
    """Return how often `measure` ticks. Raises PackageError."""
    graphs = len(open_package(settings.package).manifest.graphs)
    return graphs + (graphs + 2) * (settings.runs + 1)


def measure(settings: RooflineSettings, tick: Callable[[], None]) -> Report:
    """Count each graph's work, and time it in turns with a matrix product and a copy. Raises PackageError."""
    package = open_package(settings.package)
    torch.set_num_threads(settings.threads)
    works: dict[str, Callable[[], object]] = {"matrix product": _product(), "copy": _copy()}
    paths: dict[str, Path] = {name: package.graph(name) for name in package.manifest.graphs}
    counted = {name: count(path) for name, path in paths.items()}
    works |= {name: _graph(path, settings.threads) for name, path in paths.items()}
    seconds = timing.interleaved(works, settings.runs, tick)
    peak = Peak(2e-9 * PRODUCT**3 / min(seconds["matrix product"]), 2e-9 * COPIED / min(seconds["copy"]))
    spent: dict[str, dict[str, float]] = {}
    for name in counted:
        spent[name] = _by_operation(paths[name], settings)
        tick()
    standings = [_standing(name, work, seconds[name], peak) for name, work in counted.items()]
    return _report(settings, package, peak, standings, counted, spent, seconds)


def _product() -> Callable[[], object]:
    a, b = (torch.rand(PRODUCT, PRODUCT) for _ in range(2))
    into = torch.empty(PRODUCT, PRODUCT)
    return lambda: torch.mm(a, b, out=into)


def _copy() -> Callable[[], object]:
    source = torch.zeros(COPIED // 4)
    target = torch.ones(COPIED // 4)
    return lambda: target.copy_(source)


def _graph(path: Path, threads: int) -> Callable[[], object]:
    session = _open(path, threads)
    return partial(session.run, None, _inputs(session))


def _open(path: Path, threads: int, profile: str | None = None) -> Any:
    import onnxruntime

    options = session_options(threads)
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _inputs(session: Any) -> dict[str, Any]:
    """Return random inputs, a batch of one, always the same."""
    rng = np.random.default_rng(0)
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return {
        value.name: rng.uniform(-1, 1, (1, *value.shape[1:])).astype(types[value.type])
        for value in session.get_inputs()
    }


def _by_operation(path: Path, settings: RooflineSettings) -> dict[str, float]:
    """Return the seconds that one run spends in each kind of node, as ONNX Runtime fused and named them."""
    with tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as folder:
        session = _open(path, settings.threads, str(Path(folder) / "profile"))
        inputs = _inputs(session)
        for _ in range(settings.runs + 1):
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


def _report(
    settings: RooflineSettings,
    package: Package,
    peak: Peak,
    standings: list[Standing],
    counted: dict[str, GraphWork],
    spent: dict[str, dict[str, float]],
    seconds: dict[str, list[float]],
) -> Report:
    name = package.manifest.name
    whole = max(standings, key=lambda standing: standing.macs)
    return Report(
        name="roofline",
        title=f"The graphs of {name} against the machine, {settings.threads} threads, one face",
        headings=("graph", "GMAC", "ms", "GFLOP/s", "of peak", "FLOP/byte", "of bound", "bound by"),
        rows=tuple(_row(standing) for standing in standings),
        summary=(
            f"The machine computes {peak.gflops:.0f} GFLOP/s in a matrix product and moves "
            f"{peak.gigabytes:.1f} GB/s in a copy: above {peak.ridge:.1f} FLOP/byte computing is the bound. "
            f"The {whole.graph} reaches {whole.of_peak:.0%} of the product's rate."
        ),
        figures={
            "package": name,
            "threads": settings.threads,
            "runs": settings.runs,
            "peak": asdict(peak) | {"ridge": peak.ridge},
            "graphs": [asdict(standing) for standing in standings],
            "nodes": {name: [asdict(node) for node in work.nodes] for name, work in counted.items()},
            "seconds_by_operation": spent,
            "times_s": seconds,
        },
        more=(
            Table(
                "Counted, by graph",
                ("graph", "weights MB", "in MB", "out MB", "moved MB", "FLOP/byte at best"),
                tuple(_by_graph(standing) for standing in standings),
            ),
            Table(
                "Counted, by operation",
                ("operation", "nodes", "GMAC", "moved MB"),
                tuple(_by_count(counted.values())),
            ),
            Table(
                "Timed, by operation as ONNX Runtime fuses and names it",
                ("graph, operation", "ms", "of the graph"),
                tuple(_by_time(spent)),
            ),
        ),
        measures=tuple(of_times(graph, times) for graph, times in seconds.items()),
        conditions={"package": name, "threads": settings.threads},
    )


def _row(s: Standing) -> Row:
    return (
        s.graph,
        f"{s.macs / 1e9:.3f}",
        f"{1e3 * s.median_s:.1f}",
        f"{s.gflops:.1f}",
        f"{s.of_peak:.0%}",
        f"{s.intensity:.1f}",
        f"{s.of_bound:.0%}",
        s.bound_by,
    )


def _by_graph(s: Standing) -> Row:
    sizes = (s.weight_bytes, s.input_bytes, s.output_bytes, s.moved_bytes)
    return s.graph, *(f"{size / 1e6:.1f}" for size in sizes), f"{s.best_intensity:.1f}"


def _by_count(counted: Iterable[GraphWork]) -> Iterable[Row]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    for node in (node for work in counted for node in work.nodes):
        name = node.operation if node.bytes else "no data moved"
        for i, value in enumerate((1, node.macs / 1e9, node.bytes / 1e6)):
            sums[name][i] += value
    for name, (nodes, macs, moved) in sorted(sums.items(), key=lambda item: -item[1][2]):
        yield name, f"{nodes:.0f}", f"{macs:.3f}", f"{moved:.1f}"


def _by_time(spent: dict[str, dict[str, float]]) -> Iterable[Row]:
    found = [
        (seconds, graph, operation)
        for graph, operations in spent.items()
        for operation, seconds in operations.items()
    ]
    for seconds, graph, operation in sorted(found, reverse=True)[:SHOWN]:
        share = seconds / sum(spent[graph].values())
        yield f"{graph}, {operation}", f"{1e3 * seconds:.2f}", f"{share:.0%}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench roofline`."""
    parser.add_argument(
        "package", nargs="?", help="folder or name of a package, in place of the bundled default"
    )
    parser.add_argument("--threads", type=positive, default=2, help="of the CPU (2)")
    parser.add_argument("--runs", type=positive, default=7, help="of each graph, in turns (7)")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from bench.roofline.chart import write_chart

    settings = RooflineSettings(options.package, options.threads, options.runs)
    report = measured("roofline", steps(settings), partial(measure, settings), options.output)
    write_chart(options.output / "roofline.png", report)
    return command_line.DONE
