"""The figures of `bench endtoend` as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from base.files import write_atomically
from bench.report import Report


def write_chart(path: Path, report: Report) -> None:
    """Draw the stages of each photo, stacked: their seconds, and their shares; PNG. Raises PhotoError."""
    photos, stages = report.figures["photos"], report.figures["stages"]
    names = [photo["name"] for photo in photos]
    figure = Figure(figsize=(12, 1.8 + 0.32 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, share in ((left, False), (right, True)):
        start = [0.0] * len(names)
        for stage in stages:
            widths = [
                photo["median_s"][stage] / (sum(photo["median_s"].values()) if share else 1)
                for photo in photos
            ]
            axes.barh(names, widths, left=start, label=stage)
            start = [a + b for a, b in zip(start, widths, strict=True)]
        axes.grid(axis="x", alpha=0.3)
    left.invert_yaxis()
    left.set_xlabel("seconds")
    right.set_xlabel("share")
    right.set_xlim(0, 1)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(stages), loc="outside lower center")
    figure.suptitle(report.title)
    with write_atomically(path) as file:
        figure.savefig(file, format="png", dpi=110)
