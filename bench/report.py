"""A measurement's record: JSON to compute with, Markdown to read, a table for the console."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from base.errors import GpenEdgeError
from bench.environment import Moment, environment, moment, told
from bench.measure import Measure

RESULTS = Path(__file__).parent / "results"

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A further table of a report."""

    title: str
    headings: Row
    rows: tuple[Row, ...]
    shown: bool = True
    """On the console too, not in the Markdown file alone."""


@dataclass(frozen=True)
class Report:
    """What a benchmark found."""

    name: str
    """Of the files."""
    title: str
    headings: Row
    rows: tuple[Row, ...]
    summary: str
    """The finding, in one sentence."""
    figures: Mapping[str, Any]
    """The same with all digits, and the settings, for the JSON."""
    more: tuple[Table, ...] = ()
    """Below the first table."""
    measures: tuple[Measure, ...] = ()
    """What `python -m bench compare` compares."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """What must be the same for that."""


def record(report: Report, folder: Path, before: Moment | None = None) -> None:
    """Write `NAME.json` and `NAME.md` into a folder and show the table. Raises GpenEdgeError.

    before  the machine before the measurement
    """
    where = environment(before)
    figures = {
        "benchmark": report.name,
        **report.figures,
        "measures": [asdict(measure) for measure in report.measures],
        "conditions": report.conditions,
        "environment": asdict(where),
    }
    lines = [f"# {report.title}", "", *_markdown(report.headings, report.rows), report.summary, ""]
    for table in report.more:
        lines += [f"## {table.title}", "", *_markdown(table.headings, table.rows)]
    lines.append(told(where))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{report.name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        (folder / f"{report.name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise GpenEdgeError(f"cannot write the results to {folder}: {error.strerror or error}") from error
    show(report)
    Console().print(escape(f"results: {folder / report.name}.json, .md"), soft_wrap=True)


def _markdown(headings: Row, rows: tuple[Row, ...]) -> list[str]:
    table = [headings, ("---", *["---:"] * (len(headings) - 1)), *rows]
    return [*(f"| {' | '.join(row)} |" for row in table), ""]


def show(report: Report) -> None:
    """Show the tables and the finding on the console."""
    console = Console()
    first = Table(report.title, report.headings, report.rows)
    for table in (first, *(table for table in report.more if table.shown)):
        shown = RichTable(title=escape(table.title))
        for i, heading in enumerate(table.headings):
            shown.add_column(escape(heading), justify="right" if i else "left")
        for row in table.rows:
            shown.add_row(*map(escape, row))
        console.print(shown)
    console.print(escape(report.summary), soft_wrap=True)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr; call what is given after each of `total` steps."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def measured(title: str, steps: int, measure: Callable[[Callable[[], None]], Report], folder: Path) -> Report:
    """Measure under a progress bar of so many steps; show and record the report. Raises GpenEdgeError."""
    before = moment()
    with progress_bar(title, steps) as tick:
        report = measure(tick)
    record(report, folder, before)
    return report
