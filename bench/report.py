"""A measurement's record: JSON to compute with, Markdown to read, a table for the console."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.environment import environment
from engines.errors import GpenEdgeError

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Report:
    """What a benchmark found."""

    name: str
    """Of the files."""
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    summary: str
    """The finding, in one sentence."""
    figures: Mapping[str, Any]
    """The same with all digits, and the settings, for the JSON."""


def record(report: Report, folder: Path) -> None:
    """Write `NAME.json` and `NAME.md` into a folder and show the table. Raises GpenEdgeError."""
    where = environment()
    versions = ", ".join(f"{name} {version}" for name, version in where.packages.items())
    line = (
        f"{where.cpu}, {where.cores} cores, {where.system}; Python {where.python}, {versions}; "
        f"commit {where.commit}; {where.date} UTC"
    )
    figures = {"benchmark": report.name, **report.figures, "environment": asdict(where)}
    table = [report.headings, ["---", *["---:"] * (len(report.headings) - 1)], *report.rows]
    lines = [
        f"# {report.title}",
        "",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
        report.summary,
        "",
        line,
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{report.name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        (folder / f"{report.name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise GpenEdgeError(f"cannot write the results to {folder}: {error.strerror or error}") from error
    _show(report, folder)


def _show(report: Report, folder: Path) -> None:
    table = Table(title=report.title)
    for i, heading in enumerate(report.headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in report.rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(report.summary, f"results: {folder / report.name}.json, .md", sep="\n", soft_wrap=True)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr; call what is given after each of `total` steps."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
