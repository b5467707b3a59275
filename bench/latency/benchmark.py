"""How long one face takes: the published form in eager PyTorch against every other form that runs here."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from base.errors import GpenEdgeError, SettingsError
from base.setting import Range, option
from bench.benchmark import Benchmark, Tick
from bench.latency.entries import BASELINES, Entry, network_entries, package_entries
from bench.latency.form_process import FormError, FormProcess
from bench.latency.network import Network
from bench.latency.report import latency_report
from bench.latency.turns import check_room, first_results, take_batches, take_turns
from bench.report import Report
from bench.threads import best_threads
from engines.package import DEFAULT, Package, open_package

SIZES = (256, 512, 1024)
"""Sizes of the tables that are made by default."""
BATCHES = (1, 4, 8)
RUNS, QUICK_RUNS = 5, 2
BUDGET, QUICK_BUDGET = 510, 45
"""Seconds for all tables of a command: a run of ten minutes, or of one, minus its start-up."""


@dataclass(frozen=True)
class LatencySettings:
    """What is timed, and how."""

    size_of: tuple[int, ...] = option(
        (),
        "Measure the networks that are published for crops of these sizes, with random weights "
        f"(default: the bundled package, then {','.join(map(str, SIZES))}).",
        metavar="S[,S]",
    )
    kind: str = option("gpen", "The kind of network that --size-of takes: gpen or another.")
    checkpoint: Path | None = option(None, "Measure this network instead.")
    package: tuple[str, ...] = option(
        (),
        "Measure these packages side by side instead, as the runtime runs them; FP32 first.",
        "--model",
        nargs="+",
        metavar="PACKAGE",
    )
    threads: int | None = option(
        None, "Threads of each form. (default: as many as are faster here)", range=Range(1)
    )
    runs: int | None = option(None, f"Runs of each form at most, in turns (default: {RUNS}).", range=Range(1))
    batches: tuple[int, ...] = option(
        (), "Numbers of faces at once, for the throughput (default: 1,4,8).", range=Range(1)
    )
    budget: float | None = option(
        None,
        f"Seconds for all tables (default: {BUDGET}); the baseline and one turn are always measured.",
        range=Range(1),
    )
    only: tuple[str, ...] = option(
        (), "Measure these rows beside the baseline: static,openvino.", metavar="ROW[,ROW]"
    )
    compile: bool = option(False, "Use torch.compile on a CPU too, which takes minutes.")
    quick: bool = option(
        False, f"Measure layout 256 with {QUICK_RUNS} runs, one face at once, in {QUICK_BUDGET} seconds."
    )


def tables(settings: LatencySettings) -> Iterator[LatencySettings]:
    """Yield the settings of each table, the quickest first. Raises SettingsError."""
    if sum(map(bool, (settings.size_of, settings.checkpoint, settings.package))) > 1:
        raise SettingsError("--size-of, --checkpoint and --model each name a network: give one of them")
    quick = settings.quick
    end = time.monotonic() + (settings.budget or (QUICK_BUDGET if quick else BUDGET))
    networks = list(_networks(settings))
    settings = replace(
        settings,
        runs=settings.runs or (QUICK_RUNS if quick else RUNS),
        batches=settings.batches or ((1,) if quick else BATCHES),
    )
    for network in networks:
        if "size_of" in network:
            _published(settings.kind, *network["size_of"])
    for done, network in enumerate(networks):
        _entries(replace(settings, **network))  # a wrong row is an error before the threads are chosen
        settings = replace(settings, threads=settings.threads or best_threads())
        # What one table leaves of its share, the next ones have.
        share = (end - time.monotonic()) / (len(networks) - done)
        yield replace(settings, **network, budget=share)


def _networks(settings: LatencySettings) -> Iterator[dict[str, Any]]:
    if settings.checkpoint or settings.package:
        yield {"package": tuple(settings.package)}
    else:
        if not (settings.size_of or settings.quick or settings.only):
            yield {"package": (DEFAULT,)}
        for size in settings.size_of or ((256,) if settings.quick else SIZES):
            yield {"size_of": (size,)}


def steps(settings: LatencySettings) -> int:
    """Return how many steps `measure` reports, if time allows. Raises PackageError."""
    rows = [entry for entry in _entries(settings) if entry.why_not() is None]
    return len(rows) * (1 + (settings.runs or RUNS) + len({*settings.batches} - {1}))


def measure(settings: LatencySettings, tick: Tick) -> Report:
    """Open each form in a process of its own, then time them in turns.

    Raises CheckpointError, PackageError, and GpenEdgeError when the baseline fails.
    """
    from bench.latency.opening import (
        Opener,  # PyTorch takes seconds to load: not for the help, or a wrong option
    )

    assert settings.budget is not None
    assert settings.threads
    assert settings.runs
    deadline = time.monotonic() + settings.budget
    packages = _packages(settings)
    network = _network(settings, packages)
    entries = _entries(settings)
    not_run = {entry.name: why for entry in entries if (why := entry.why_not()) is not None}
    with tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as temporary, ExitStack() as stack:
        opener = Opener(network, settings.checkpoint, Path(temporary), settings.threads)
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
        take_batches(processes, found, settings.batches, deadline, tick)
    return latency_report(
        name="-".join(package.folder.name for package in packages) or _named_by_size(network),
        weights=", ".join(_named(package) for package in packages)
        or (settings.checkpoint.name if settings.checkpoint else "random weights"),
        network=network,
        threads=settings.threads,
        found=found,
        not_run=not_run,
    )


def _in_order_of_weight(rows: Iterable[str]) -> list[str]:
    """Return the baseline, then the rows in reverse order: if time runs out, ours matter most."""
    first, *others = rows
    return [first, *reversed(others)]


def _network(settings: LatencySettings, packages: Sequence[Package]) -> Network:
    """Return the baseline: the first package's network."""
    if packages:
        manifest = packages[0].manifest
        numbers: dict[str, Any] = {"size": manifest.size, **manifest.network}
        return Network(numbers.pop("kind"), numbers)
    if settings.checkpoint:
        from export.architectures import load_restoring

        kind, network = load_restoring(settings.checkpoint)
        return Network(kind, {"size": network.size, **network.numbers})
    return _published(settings.kind, *settings.size_of)


def _published(kind: str, size: int) -> Network:
    """Return a published network. Raises SettingsError."""
    from export.architectures import published_sizes

    return Network(kind, published_sizes(kind, size))


def _packages(settings: LatencySettings) -> tuple[Package, ...]:
    packages = tuple(map(open_package, settings.package))
    sizes = {package.manifest.size for package in packages}
    names = {(package.manifest.name, package.manifest.precision) for package in packages}
    if len(sizes) > 1:
        raise GpenEdgeError(f"packages for crops of {sorted(sizes)} pixels: measure one size at a time")
    if len(names) < len(packages):
        raise GpenEdgeError("two of the packages have one name and precision: give each a --name of its own")
    return packages


def _entries(settings: LatencySettings) -> tuple[Entry, ...]:
    packages = _packages(settings)
    entries = package_entries(packages) if packages else network_entries(compiled=settings.compile)
    names = [entry.name for entry in entries]
    if unknown := sorted({*settings.only} - {*names}):
        raise GpenEdgeError(f"no row is called {unknown[0]}: there are {', '.join(names)}")
    wanted = {*BASELINES, *settings.only} if settings.only else {*names}
    return tuple(entry for entry in entries if entry.name in wanted)


def _named_by_size(network: Network) -> str:
    return str(network.size) if network.kind == "gpen" else f"{network.kind}-{network.size}"


def _named(package: Package) -> str:
    return f"{package.manifest.name} {package.manifest.precision.upper()}"


BENCHMARK = Benchmark(LatencySettings, steps, measure, each=tables)
