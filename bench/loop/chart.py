"""The figures of `bench loop` as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from base.files import write_atomically
from bench.report import Report


def write_chart(path: Path, report: Report) -> None:
    """Draw nearness against time by ε, and the distances by η; PNG. Raises PhotoError."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    schedules = report.figures["schedules"]
    for iterations in dict.fromkeys(s["iterations"] for s in schedules):
        shown = [s for s in schedules if s["iterations"] == iterations and s["epsilon"] and not s["settles"]]
        times = [1000 * s["seconds"] for s in shown]
        (line,) = left.plot(times, [s["to_every_pass"] for s in shown], "o-", label=f"N = {iterations}")
        for s, x in zip(shown, times, strict=True):
            left.annotate(f"ε {s['epsilon']:g}", (x, s["to_every_pass"]), (4, 5), textcoords="offset points")
        whole = next(s for s in schedules if s["iterations"] == iterations and s["epsilon"] == 0)
        left.axvline(
            1000 * whole["seconds"], color=line.get_color(), linestyle=":", label="its pass per step"
        )
    left.set_xscale("log")
    left.set_xlabel("ms a face")
    left.set_ylabel("dB to a pass per step")
    left.legend()
    decays = report.figures["decays"]
    etas = [d["eta"] for d in decays]
    right.plot(etas, [d["from_input"] for d in decays], "o-", label="from the input")
    right.plot(etas, [d["from_restored"] for d in decays], "o-", label="from the restored face")
    right.set_xlabel("η")
    right.set_ylabel("RMS distance of the face, levels")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle(report.title)
    with write_atomically(path) as file:
        figure.savefig(file, format="png", dpi=110)
