"""The roofline report: how far each graph is below the machine's peak."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from matplotlib.figure import Figure

from bench.report import Report, Row, Table, counted, of_times, table
from bench.roofline.counting import GraphWork

SHOWN = 8
"""Operations in the table of times."""


@dataclass(frozen=True)
class Peak:
    """The machine's peak rates, from the fastest of several runs."""

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
    """By the fastest run, like the peak: other programs can only make a run slower."""
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


def roofline_report(
    package: str,
    threads: int,
    peak: Peak,
    standings: list[Standing],
    works: Mapping[str, GraphWork],
    spent: Mapping[str, Mapping[str, float]],
    seconds: Mapping[str, list[float]],
) -> Report:
    """Return the report of a package.

    spent    seconds by graph and operation
    seconds  of each run, by graph and for the matrix product and the copy
    """
    whole = max(standings, key=lambda standing: standing.macs)
    return Report(
        name="roofline",
        tables=(
            table(
                f"The graphs of {package} against the machine, {counted(threads, 'thread')}, one face",
                standings,
                {
                    "graph": lambda s: s.graph,
                    "GMAC": lambda s: f"{s.macs / 1e9:.3f}",
                    "weights MB": lambda s: f"{s.weight_bytes / 1e6:.1f}",
                    "moved MB": lambda s: f"{s.moved_bytes / 1e6:.1f}",
                    "ms": lambda s: f"{1e3 * s.median_s:.1f}",
                    "GFLOP/s": lambda s: f"{s.gflops:.1f}",
                    "of peak": lambda s: f"{s.of_peak:.0%}",
                    "FLOP/byte": lambda s: f"{s.intensity:.1f}",
                    "of bound": lambda s: f"{s.of_bound:.0%}",
                    "bound by": lambda s: s.bound_by,
                },
            ),
            Table(
                "Timed, by operation as ONNX Runtime fuses and names it",
                ("graph, operation", "ms", "of the graph"),
                tuple(_by_time(spent)),
            ),
        ),
        summary=(
            f"The machine computes {peak.gflops:.0f} GFLOP/s in a matrix product and moves "
            f"{peak.gigabytes:.1f} GB/s in a copy: above {peak.ridge:.1f} FLOP/byte computing is the bound. "
            f"The {whole.graph} reaches {whole.of_peak:.0%} of the product's rate."
        ),
        figures={
            "runs": len(seconds["copy"]),
            "peak": asdict(peak) | {"ridge": peak.ridge},
            "graphs": [asdict(standing) for standing in standings],
            "nodes": {name: [asdict(node) for node in work.nodes] for name, work in works.items()},
            "seconds_by_operation": spent,
            "times_s": seconds,
        },
        measures=tuple(of_times(graph, times) for graph, times in seconds.items()),
        conditions={"package": package, "threads": threads},
        timed=True,
    )


def _by_time(spent: Mapping[str, Mapping[str, float]]) -> Iterable[Row]:
    found = [
        (seconds, graph, operation)
        for graph, operations in spent.items()
        for operation, seconds in operations.items()
    ]
    for seconds, graph, operation in sorted(found, reverse=True)[:SHOWN]:
        share = seconds / sum(spent[graph].values())
        yield f"{graph}, {operation}", f"{1e3 * seconds:.2f}", f"{share:.0%}"


def chart(figure: Figure, report: Report) -> None:
    """Draw the machine's roof and the graphs below it.

    A point is at the bytes that every node moves; the line from it ends at those that must be moved.
    """
    axes = figure.subplots()
    peak, graphs = report.figures["peak"], report.figures["graphs"]
    intensities = [graph[key] for graph in graphs for key in ("intensity", "best_intensity")]
    left, right = min(*intensities, peak["ridge"]) / 4, 4 * max(*intensities, peak["ridge"])
    axes.plot(
        [left, peak["ridge"], right],
        [left * peak["gigabytes"], peak["gflops"], peak["gflops"]],
        color="black",
        label=f"{peak['gigabytes']:.1f} GB/s, {peak['gflops']:.0f} GFLOP/s",
    )
    for graph in graphs:
        (line,) = axes.plot([graph["intensity"], graph["best_intensity"]], [graph["gflops"]] * 2, ":")
        axes.plot(
            graph["intensity"],
            graph["gflops"],
            "o",
            color=line.get_color(),
            label=f"{graph['graph']}: {graph['of_peak']:.0%} of peak",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_xlabel("FLOP per byte moved (dotted: per byte that must be moved)")
    axes.set_ylabel("GFLOP/s")
    axes.grid(alpha=0.3)
    axes.legend()
