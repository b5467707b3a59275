"""Archives on Ray: how fast two actors are beside one and beside `runtime.restore`, and a large archive.

The large archive is restored by actors that only sleep, on Ray's own scheduler; see `simulation.py`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from base.errors import SettingsError
from base.setting import Range, option
from bench.archive import simulation, throughput
from bench.archive.simulation import ALLOWED_ERROR, ALLOWED_MEMORY, Simulated
from bench.archive.throughput import ALLOWED, TWICE, Run
from bench.benchmark import Benchmark, Tick, model
from bench.report import Measure, Report, Table, counted, table
from runtime.archive.estimate import written_time


@dataclass(frozen=True)
class ArchiveSettings:
    """The sizes of the archives, and the number of actors."""

    restored: int = option(
        174,
        f"Number of photos that each of three programs restores, more than {throughput.FEW}; 0 skips this.",
        range=Range(0),
    )
    photos: int = option(4000, "Number of photos in the large archive.", range=Range(1))
    actors: int = option(8, "Number of simulated actors.", range=Range(1))
    faster: float = option(
        5.0,
        "How many times faster they are than real actors. Above about 50, Ray's own work is the limit.",
        range=Range(0, above=True),
    )
    sample: int = option(200, "Number of photos in the sample for the estimate.", range=Range(1))
    package: str | None = model()


def steps(settings: ArchiveSettings) -> int:
    """Return how many steps `measure` reports. Raises SettingsError."""
    if 0 < settings.restored <= throughput.FEW:
        raise SettingsError(f"--restored is {settings.restored}: give more than {throughput.FEW}, or 0")
    return simulation.STEPS + (throughput.STEPS if settings.restored else 0)


def measure(settings: ArchiveSettings, tick: Tick) -> Report:
    """Restore an archive, and simulate a large one."""
    runs = throughput.measure(settings.restored, settings.package, tick) if settings.restored else []
    simulated = simulation.measure(settings.photos, settings.actors, settings.faster, settings.sample, tick)
    return _report(settings, runs, simulated)


def _report(settings: ArchiveSettings, runs: list[Run], simulated: Simulated) -> Report:
    took = written_time(simulated.took * settings.faster)
    summary = (
        f"The estimate of a large archive is off by {simulated.off:+.0%} ({ALLOWED_ERROR:.0%} are allowed), "
        f"the driver's peak is {simulated.memory:.0f} MiB ({ALLOWED_MEMORY:.0f}). Real, it would take {took}."
    )
    figures = asdict(simulated) | {"off": simulated.off, "within": simulated.is_within}
    tables, measures, is_whole = [_of_the_large_archive(settings, simulated)], [], simulated.is_whole
    if runs:
        one, two, restore = (run.rate for run in runs)
        summary = (
            f"Two actors restore {two / one:.2f} times as many photos a second as one ({TWICE} are wanted), "
            f"and {two / restore:.0%} of those of runtime.restore with two threads ({1 - ALLOWED:.0%}). "
            f"{summary}"
        )
        whole = settings.restored - throughput.broken(settings.restored)
        is_whole &= all(run.files == whole for run in runs)
        tables.insert(0, table(f"{counted(settings.restored, 'photo')}, some broken", runs, _OF_A_RUN))
        figures |= {"runs": [asdict(run) for run in runs]}
        measures = [Measure(run.program, run.rate, "photos a second", more_is_better=True) for run in runs]
    return Report(
        name="archive",
        tables=tuple(tables),
        summary=summary,
        figures={"settings": asdict(settings), **figures},
        measures=tuple(measures),
        conditions={"photos": settings.photos, "actors": settings.actors, "restored": settings.restored},
        timed=True,
        failed=not is_whole,
    )


def _of_the_large_archive(settings: ArchiveSettings, simulated: Simulated) -> Table:
    values = {
        "listed in": f"{simulated.listing:.2f} s",
        "estimated": f"{simulated.expected:.1f} s, with a start of {simulated.start:.1f} s",
        "took": f"{simulated.took:.1f} s",
        "the estimate is off by": f"{simulated.off:+.1%}",
        "the driver's peak": f"{simulated.memory:.0f} MiB",
        "rows": str(simulated.rows),
    }
    actors = counted(settings.actors, "sleeping actor")
    cells: dict[str, Callable[[str], str]] = {"figure": str, "value": lambda name: values[name]}
    return table(f"{settings.photos} photos, {actors}, {settings.faster:g} times faster", values, cells)


_OF_A_RUN: dict[str, Callable[[Run], str]] = {
    "program": lambda run: run.program,
    f"{throughput.FEW} photos": lambda run: f"{run.start:.1f} s",
    "all": lambda run: f"{run.seconds:.1f} s",
    "photos a second": lambda run: f"{run.rate:.2f}",
    "results": lambda run: str(run.files),
}


BENCHMARK = Benchmark(ArchiveSettings, steps, measure)
