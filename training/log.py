"""The CSV log of a run, and its progress bar."""

import csv
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from base.command_line import progress_of


class Log:
    """A CSV file that rows are appended to; an existing one with other columns is set aside."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        heading = path.read_text().partition("\n")[0].split(",") if path.exists() else None
        if heading is not None and tuple(heading) != columns:
            path.rename(_unused(path))
            heading = None
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file)
        if heading is None:
            self._writer.writerow(columns)

    def write(self, step: int, *figures: float) -> None:
        """Append a row."""
        self._writer.writerow([step, *(f"{figure:.6g}" for figure in figures)])
        self._file.flush()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _unused(path: Path) -> Path:
    number = 1
    while (other := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    return other


def progress_bar() -> Progress:
    """Return the progress bar of a run; it shows the field `loss`."""
    return progress_of(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
