"""How long one face takes: the published form in eager PyTorch against the static forms in ONNX Runtime."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch

from bench import timing
from bench.forms import FormName, open_form, random_crop
from bench.options import add_output, positive
from bench.report import Report, measured
from engines import command_line
from engines.package import open_package
from export.checkpoint import load_checkpoint
from export.graphs import to_onnx, traced_graphs
from export.layout import Layout
from export.network import Gpen

LAYOUTS = {
    256: Layout(256, channel_multiplier=1, narrow=0.5, style_dim=512, n_mlp=8),
    512: Layout(512, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8),
    1024: Layout(1024, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8),
    2048: Layout(2048, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8),
}
"""The published networks, GPEN-BFR-256 … 2048."""

TITLES: dict[FormName, str] = {
    "published": "published form, eager PyTorch",
    "static": "static form, ONNX Runtime",
    "winograd": "static form with Winograd, ONNX Runtime",
}


@dataclass(frozen=True)
class LatencySettings:
    """What is timed, and how."""

    size: int = 512
    """Of the published layout whose shape random weights take, unless a file is given."""
    checkpoint: Path | None = None
    package: Path | None = None
    """Its fused graph is timed; the baseline has random weights of the same layout."""
    threads: int = 2
    runs: int = 5


def steps(settings: LatencySettings) -> int:
    """Return how often `measure` ticks."""
    forms = 2 if settings.package else len(TITLES)
    return 2 + forms * (settings.runs + 2)


def measure(settings: LatencySettings, tick: Callable[[], None]) -> Report:
    """Time the forms in turns, and take each one's memory in a process of its own.

    Raises CheckpointError and PackageError.
    """
    with tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as temporary:
        files, layout = _files(settings, Path(temporary))
        tick()
        crop = random_crop(layout.size)
        forms = {name: open_form(name, file, settings.threads) for name, file in files.items()}
        works = {name: partial(form, crop) for name, form in forms.items()}
        seconds = timing.interleaved(works, settings.runs, tick)
        expected = works["published"]()
        difference = max(float(np.abs(work() - expected).max()) for work in works.values())
        tick()
        peaks: dict[FormName, float] = {}
        for name, file in files.items():
            peaks[name] = _peak_memory(name, file, settings.threads, layout.size)
            tick()
    return _report(settings, layout, seconds, peaks, None if settings.package else difference)


def _files(settings: LatencySettings, folder: Path) -> tuple[dict[FormName, Path], Layout]:
    """Return the file that each form is opened from; what is not given is made."""
    if settings.package:
        package = open_package(settings.package)
        layout = Layout(**{field.name: getattr(package.manifest, field.name) for field in fields(Layout)})
        return {"published": _random_checkpoint(layout, folder), "static": package.graph("fused")}, layout
    checkpoint = settings.checkpoint or _random_checkpoint(LAYOUTS[settings.size], folder)
    loaded = load_checkpoint(checkpoint)
    network = Gpen.from_state(loaded.layout, loaded.state)
    files: dict[FormName, Path] = {"published": checkpoint}
    forms: tuple[FormName, ...] = ("static", "winograd")
    for name in forms:
        files[name] = folder / f"{name}.onnx"
        graph = traced_graphs(network, fused=True, winograd=name == "winograd")["fused"]
        onnx.save(to_onnx(graph, opset=17), files[name])
    return files, loaded.layout


def _random_checkpoint(layout: Layout, folder: Path) -> Path:
    torch.manual_seed(0)
    network = Gpen(layout)
    for name, parameter in network.named_parameters():
        if name.endswith("noise.weight"):  # zero at first, which would cut the encoder's features off
            torch.nn.init.normal_(parameter)
    path = folder / "random.pth"
    torch.save(network.state_dict(), path)
    return path


def _peak_memory(name: FormName, file: Path, threads: int, size: int) -> float:
    """Return the peak of a process that does nothing but one restoration, in MiB."""
    command = [sys.executable, "-m", "bench.forms", name, str(file), str(threads), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return float(done.stdout)


def _report(
    settings: LatencySettings,
    layout: Layout,
    seconds: dict[FormName, list[float]],
    peaks: dict[FormName, float],
    difference: float | None,
) -> Report:
    rows, figures = [], []
    for name, times in seconds.items():
        title = TITLES[name]
        ratio = timing.ratio(seconds["published"], times)
        rows.append(
            (
                title,
                f"{timing.median(times):.3f}",
                f"{timing.p95(times):.3f}",
                f"{ratio.median:.2f} ({ratio.lowest:.2f}–{ratio.highest:.2f})",
                f"{peaks[name]:.0f}",
            )
        )
        figures.append(
            {
                "form": name,
                "title": title,
                "median_s": timing.median(times),
                "p95_s": timing.p95(times),
                "times_s": times,
                "speed_up": asdict(ratio),
                "peak_memory_mib": peaks[name],
            }
        )
    fastest = min(seconds, key=lambda name: timing.median(seconds[name]))
    speed_up = timing.ratio(seconds["published"], seconds[fastest])
    same = f"; outputs differ by at most {difference:.1e}" if difference is not None else ""
    return Report(
        name=f"latency-{layout.size}",
        title=f"One face through GPEN-{layout.size}, {settings.threads} threads, {settings.runs} runs",
        headings=("form", "median s", "95 % s", "times as fast", "peak MiB"),
        rows=tuple(rows),
        summary=f"The {TITLES[fastest]}, is {speed_up.median:.2f} times as fast as the published one{same}.",
        figures={
            "layout": asdict(layout),
            "weights": str(settings.checkpoint or settings.package or "random"),
            "threads": settings.threads,
            "runs": settings.runs,
            "rows": figures,
            "largest_difference": difference,
        },
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench latency`."""
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--size-of", type=int, default=512, choices=LAYOUTS, help="published layout (512)")
    network.add_argument("--checkpoint", type=Path, help="measure this network instead")
    network.add_argument("--package", type=Path, help="measure the fused graph of this package instead")
    parser.add_argument("--threads", type=positive, default=2, help="of either form (2)")
    parser.add_argument("--runs", type=positive, default=5, help="of each form, in turns (5)")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = LatencySettings(
        size=options.size_of,
        checkpoint=options.checkpoint,
        package=options.package,
        threads=options.threads,
        runs=options.runs,
    )
    measured("latency", steps(settings), partial(measure, settings), options.output)
    return command_line.DONE
