"""How long one face takes: the published form in eager PyTorch against every other form that runs here."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from base import command_line
from base.errors import GpenEdgeError
from bench.latency.entries import BASELINES, Entry, network_entries, package_entries
from bench.latency.form_process import FormError, FormProcess
from bench.latency.report import latency_report
from bench.latency.turns import check_room, first_results, take_batches, take_turns
from bench.options import add_output, counts, name_list, positive
from bench.report import Report, measured
from engines.package import DEFAULT, Package, open_package
from export.gpen.layout import Layout

LAYOUTS = {
    256: Layout(256, channel_multiplier=1, narrow=0.5, style_dim=512, n_mlp=8),
    512: Layout(512, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8),
    1024: Layout(1024, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8),
    2048: Layout(2048, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8),
}
"""The published networks, GPEN-BFR-256 … 2048."""

SIZES = (256, 512, 1024)
"""Of the tables that nobody has to ask for."""
BATCHES = (1, 4, 8)
RUNS, QUICK_RUNS = 5, 2
BUDGET, QUICK_BUDGET = 510, 45
"""Seconds for all tables of a command: what a run of ten minutes, or of one, leaves beside the start."""


@dataclass(frozen=True)
class LatencySettings:
    """What is timed, and how."""

    size: int = 512
    """Of the published layout whose shape random weights take, unless a file is given."""
    checkpoint: Path | None = None
    packages: tuple[str, ...] = ()
    """Folders or names: timed as the runtime runs them; the baseline has random weights of that layout."""
    threads: int = 2
    runs: int = RUNS
    """Turns at most."""
    batches: tuple[int, ...] = BATCHES
    """Of the throughput; one face is always timed."""
    only: tuple[str, ...] = ()
    """Rows, by name, beside the baseline; without any, all."""
    compiled: bool = False
    """torch.compile may take its minutes on a CPU."""
    budget: float = BUDGET
    """Seconds. The baseline and one turn are measured however long they take, the rest while time is left."""


def steps(settings: LatencySettings) -> int:
    """Return how often `measure` ticks, if time allows. Raises PackageError."""
    rows = [entry for entry in _entries(settings, _packages(settings)) if entry.why_not() is None]
    return len(rows) * (1 + settings.runs + len({*settings.batches} - {1}))


def measure(settings: LatencySettings, tick: Callable[[], None]) -> Report:
    """Open each form in a process of its own, then time them in turns.

    Raises CheckpointError, PackageError, and GpenEdgeError when the baseline fails.
    """
    from bench.latency.opening import (
        Opener,  # PyTorch takes seconds to load: not for the help, or a wrong option
    )

    deadline = time.monotonic() + settings.budget
    packages = _packages(settings)
    layout = _layout(settings, packages)
    entries = _entries(settings, packages)
    not_run = {entry.name: why for entry in entries if (why := entry.why_not()) is not None}
    with tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as temporary, ExitStack() as stack:
        opener = Opener(layout, settings.checkpoint, Path(temporary), settings.threads)
        rows = {entry.name: entry for entry in entries if entry.name not in not_run}
        processes: dict[str, FormProcess] = {}
        for name in _in_order_of_weight(rows):
            try:
                check_room(processes, deadline)
                processes[name] = stack.enter_context(closing(opener.open(rows[name])))
            except FormError as error:
                not_run[name] = str(error)
            tick()
        processes = {name: processes[name] for name in rows if name in processes}
        found = first_results(processes, rows)
        failed = take_turns(processes, found, settings.runs, deadline, tick)
        not_run |= failed
        found = {name: each for name, each in found.items() if name not in failed}
        if next(iter(found), None) not in BASELINES:
            raise GpenEdgeError(f"the baseline does not run: {not_run[BASELINES[-1]]}")
        take_batches(processes, found, rows, settings.batches, deadline, tick)
    return latency_report(
        name="-".join(package.folder.name for package in packages) or str(layout.size),
        weights=", ".join(settings.packages) or str(settings.checkpoint or "random"),
        layout=layout,
        threads=settings.threads,
        titles={entry.name: entry.title for entry in entries},
        found=found,
        not_run=not_run,
    )


def _in_order_of_weight(rows: Iterable[str]) -> list[str]:
    """Return the baseline, then the rows from the last: should time run out, ours matter most."""
    first, *others = rows
    return [first, *reversed(others)]


def _layout(settings: LatencySettings, packages: Sequence[Package]) -> Layout:
    if packages:
        manifest = packages[0].manifest
        return Layout(**{field.name: getattr(manifest, field.name) for field in fields(Layout)})
    if settings.checkpoint:
        from export.gpen.checkpoint import load_checkpoint

        return load_checkpoint(settings.checkpoint).layout
    return LAYOUTS[settings.size]


def _packages(settings: LatencySettings) -> tuple[Package, ...]:
    packages = tuple(map(open_package, settings.packages))
    sizes = {package.manifest.size for package in packages}
    names = {(package.manifest.name, package.manifest.precision) for package in packages}
    if len(sizes) > 1:
        raise GpenEdgeError(f"packages for crops of {sorted(sizes)} pixels: measure one size at a time")
    if len(names) < len(packages):
        raise GpenEdgeError("two of the packages have one name and precision: give each a --name of its own")
    return packages


def _entries(settings: LatencySettings, packages: Sequence[Package]) -> tuple[Entry, ...]:
    entries = package_entries(packages) if packages else network_entries(compiled=settings.compiled)
    names = [entry.name for entry in entries]
    if unknown := sorted({*settings.only} - {*names}):
        raise GpenEdgeError(f"no row is called {unknown[0]}: there are {', '.join(names)}")
    wanted = {*BASELINES, *settings.only} if settings.only else {*names}
    return tuple(entry for entry in entries if entry.name in wanted)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench latency`."""
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--size-of",
        type=_sizes,
        metavar="S[,S]",
        help="published layouts, of 256, 512, 1024, 2048 (256,512,1024, and the default package)",
    )
    network.add_argument("--checkpoint", type=Path, help="measure this network instead")
    network.add_argument(
        "--package", nargs="+", help="measure these packages side by side instead, FP32 first"
    )
    parser.add_argument("--threads", type=positive, default=2, help="of each form (2)")
    parser.add_argument("--runs", type=positive, help=f"of each form, in turns, at most ({RUNS})")
    parser.add_argument("--batches", type=counts, help="faces at once, for the throughput (1,4,8)")
    parser.add_argument("--budget", type=positive, metavar="SECONDS", help=f"for all of it ({BUDGET})")
    parser.add_argument(
        "--only",
        type=name_list,
        default=(),
        metavar="ROW[,ROW]",
        help="these, beside the baseline: static,openvino",
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile on a CPU too: takes minutes")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"layout 256, {QUICK_RUNS} runs, one face at once, {QUICK_BUDGET} seconds",
    )
    add_output(parser)
    parser.set_defaults(run=_run)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in text.split(","))
    if not set(sizes) <= set(LAYOUTS):
        raise argparse.ArgumentTypeError(f"must be of {', '.join(map(str, LAYOUTS))}")
    return sizes


def _networks(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the settings that say what each table is of, the quickest first."""
    if options.checkpoint:
        yield {"checkpoint": options.checkpoint}
    elif options.package:
        yield {"packages": tuple(options.package)}
    else:
        if not (options.size_of or options.quick or options.only):
            yield {"packages": (DEFAULT,)}
        for size in options.size_of or ((256,) if options.quick else SIZES):
            yield {"size": size}


def _run(options: argparse.Namespace) -> int:
    end = time.monotonic() + (options.budget or (QUICK_BUDGET if options.quick else BUDGET))
    networks = list(_networks(options))
    for done, network in enumerate(networks):
        # What one table leaves of its share, the next ones have.
        share = (end - time.monotonic()) / (len(networks) - done)
        settings = LatencySettings(
            **network,
            threads=options.threads,
            runs=options.runs or (QUICK_RUNS if options.quick else RUNS),
            batches=options.batches or ((1,) if options.quick else BATCHES),
            only=options.only,
            compiled=options.compile,
            budget=share,
        )
        measured("latency", steps(settings), partial(measure, settings), options.output)
    return command_line.DONE
