"""A benchmark's report: JSON to compute with, Markdown to read, tables for the console."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from base.errors import GpenEdgeError
from base.files import write_atomically, write_json
from base.text import cause_of
from bench import timing
from bench.environment import Environment, busyness, described

RESULTS = Path(__file__).parent / "results"

Row = tuple[str, ...]
Each = TypeVar("Each")


@dataclass(frozen=True)
class Measure:
    """One figure, by which two results of a benchmark are compared."""

    name: str
    """Unique within its report."""
    value: float
    unit: str
    """Such as `s`, `MiB`, `dB`."""
    lowest: float | None = None
    """The shortest and the longest run, if the value is a median; None if there was only one run."""
    highest: float | None = None
    more_is_better: bool = False


def of_times(name: str, seconds: list[float]) -> Measure:
    """Return the median time of some runs, with the shortest and the longest."""
    return Measure(name, timing.median(seconds), "s", min(seconds), max(seconds))


@dataclass(frozen=True)
class Table:
    """A table of a report."""

    title: str
    headings: Row
    rows: tuple[Row, ...]
    shown: bool = True
    """Whether it is shown on the console too, not only in the Markdown file."""


def table(
    title: str, of: Iterable[Each], columns: Mapping[str, Callable[[Each], str]], *, shown: bool = True
) -> Table:
    """Return a table with a row for each thing.

    columns  each heading and the function that returns the column's cell
    """
    rows = tuple(tuple(cell(each) for cell in columns.values()) for each in of)
    return Table(title, tuple(columns), rows, shown)


def counted(number: int, what: str) -> str:
    """Return a number of things: 1 thread, 2 threads."""
    return f"{number} {what}" + ("" if number == 1 else "s")


@dataclass(frozen=True)
class Report:
    """What a benchmark found."""

    name: str
    """Of the files."""
    tables: tuple[Table, ...]
    """The first one's title is the report's."""
    summary: str
    """The finding, in one sentence."""
    figures: Mapping[str, Any]
    """The same with all digits, and the settings, for the JSON file."""
    measures: tuple[Measure, ...] = ()
    """What `python -m bench compare` compares."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Conditions that two results must share to be compared; they are in the JSON file's figures too."""
    timed: bool = False
    """The finding is about time: on a busy machine none is stated."""
    failed: bool = False
    """The benchmark found a fault: the command ends with exit status 3."""

    @property
    def title(self) -> str:
        """Return the title of the report."""
        return self.tables[0].title


def record(report: Report, folder: Path, environment: Environment) -> None:
    """Write `NAME.json` and `NAME.md` into a folder and show the tables. Raises GpenEdgeError."""
    figures = {
        "benchmark": report.name,
        **report.conditions,
        **report.figures,
        "measures": [asdict(measure) for measure in report.measures],
        "conditions": report.conditions,
        "environment": asdict(environment) | {"busy": environment.busy},
    }
    finding = finding_of(report, environment)
    lines = [f"# {report.title}", "", *_markdown(report.tables[0]), finding, ""]
    for each in report.tables[1:]:
        lines += [f"## {each.title}", "", *_markdown(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GpenEdgeError(f"cannot write the results to {folder}: {cause_of(error)}") from error
    write_json(folder / f"{report.name}.json", figures)
    with write_atomically(folder / f"{report.name}.md") as file:
        file.write("\n".join([*lines, described(environment), ""]).encode())
    show(report.tables, finding)
    Console().print(escape(f"results: {folder / report.name}.json, .md"), soft_wrap=True)


def finding_of(report: Report, environment: Environment) -> str:
    """Return the finding, or a warning in its place if the machine was busy and its times are unreliable."""
    if report.timed and environment.busy:
        return (
            f"The machine was busy ({busyness(environment)}): do not trust these times. "
            "Run again when nothing else is running."
        )
    return report.summary


def _markdown(table: Table) -> list[str]:
    rows = [table.headings, ("---", *["---:"] * (len(table.headings) - 1)), *table.rows]
    return [*(f"| {' | '.join(row)} |" for row in rows), ""]


def show(tables: Iterable[Table], finding: str) -> None:
    """Show tables and the finding on the console."""
    console = Console()
    for each in tables:
        if each.shown and each.rows:
            shown = RichTable(title=escape(each.title))
            for i, heading in enumerate(each.headings):
                shown.add_column(escape(heading), justify="right" if i else "left")
            for row in each.rows:
                shown.add_row(*map(escape, row))
            console.print(shown)
    console.print(escape(finding), soft_wrap=True)
