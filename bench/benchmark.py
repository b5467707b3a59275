"""The frame of every benchmark: its options, a progress bar, its report and its chart."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from base import command_line
from base.command_line import progress_bar
from base.files import write_atomically
from base.setting import add_options, option, options_of
from bench.environment import environment, moment
from bench.report import RESULTS, Report, record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Settings = TypeVar("Settings")
Tick = Callable[[], None]
"""Called after each step."""


def model() -> Any:
    """Return the option that names a package: its folder, or a bundled name."""
    return option(None, "Use this package in place of the bundled default.", "--model", metavar="PACKAGE")


@dataclass(frozen=True)
class Benchmark(Generic[Settings]):
    """A command of `python -m bench` that measures something."""

    settings: type[Settings]
    """Its options: a frozen dataclass whose fields are made by `base.setting.option`."""
    steps: Callable[[Settings], int]
    """Return how many steps `measure` reports. Raises GpenEdgeError for settings that cannot be measured."""
    measure: Callable[[Settings, Tick], Report]
    chart: "Callable[[Figure, Report], None] | None" = None
    """Draw the report's figures."""
    each: Callable[[Settings], Iterable[Settings]] = lambda settings: (settings,)
    """Yield the settings of each report, if the command makes several."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's options."""
        add_options(parser, self.settings)
        parser.add_argument(
            "-o", "--output", type=Path, default=RESULTS, help="Folder to write the results to."
        )
        parser.set_defaults(run=self._run)

    def _run(self, given: argparse.Namespace) -> int:
        failed = False
        for settings in self.each(options_of(given, self.settings)):
            steps, before = self.steps(settings), moment()
            with progress_bar("measuring", steps) as tick:
                report = self.measure(settings, tick)
            record(report, given.output, environment(before))
            if self.chart:
                self._draw(given.output / f"{report.name}.png", report)
            failed |= report.failed
        return command_line.SOME_FAILED if failed else command_line.DONE

    def _draw(self, path: Path, report: Report) -> None:
        from matplotlib.figure import Figure

        assert self.chart
        figure = Figure(layout="constrained")
        self.chart(figure, report)
        figure.suptitle(report.title)
        with write_atomically(path) as file:
            figure.savefig(file, format="png", dpi=110)
