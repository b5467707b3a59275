"""The figures of `bench soak` as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from base.files import write_atomically
from bench.report import Report

_NAMES = {"memory": "resident memory, MiB", "handles": "file handles", "threads": "threads"}


def write_chart(path: Path, report: Report) -> None:
    """Draw what the process held over time, and what was left out of the slopes; PNG. Raises PhotoError."""
    samples = report.figures["samples"]
    minutes = [sample["seconds"] / 60 for sample in samples]
    begins = next(
        (
            at
            for at, sample in zip(minutes, samples, strict=True)
            if sample["photo"] > report.figures["left_out"]
        ),
        minutes[-1],
    )
    figure = Figure(figsize=(8, 6), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(3, 1, sharex=True), _NAMES.items(), strict=True):
        values = [sample[name] for sample in samples]
        axes.plot(minutes, values, linewidth=1)
        axes.axvspan(0, begins, alpha=0.15, color="grey")
        axes.set_ylim(0, 1.15 * max(values))
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
    axes.set_xlabel("minutes (grey: not part of the slopes)")
    figure.suptitle(f"{report.title}: {report.figures['photos']} photos")
    with write_atomically(path) as file:
        figure.savefig(file, format="png", dpi=110)
