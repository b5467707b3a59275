"""The figures of `bench roofline` as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from base.files import write_atomically
from bench.report import Report


def write_chart(path: Path, report: Report) -> None:
    """Draw the machine's roof and the graphs below it; PNG. Raises PhotoError.

    A point is at the bytes that every node moves; the line from it ends at those that must be moved.
    """
    figure = Figure(figsize=(8, 5.2), layout="constrained")
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
    figure.suptitle(report.title)
    with write_atomically(path) as file:
        figure.savefig(file, format="png", dpi=110)
