"""Shows the progress of builds on the terminal: graph, phase, share done and elapsed time."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from base.command_line import progress_of
from engines.builder import Watch
from engines.cache import CachedEngine
from engines.package import PHOTO, GraphName


@contextmanager
def shown(console: Console, total: int) -> Iterator[Watch]:
    """Yield callbacks that show a progress bar on a terminal, and always print a line per finished engine.

    total   number of graphs
    """
    columns = (
        TextColumn("{task.fields[which]}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.description}"),
    )
    with progress_of(*columns, console=console) as bar:
        task = bar.add_task("", total=1.0, which="")
        begun = 0

        def say(line: str) -> None:
            bar.console.print(line, soft_wrap=True, markup=False, highlight=False)

        def started(graph: GraphName) -> None:
            nonlocal begun
            begun += 1
            bar.reset(task, description="starting", which=_which(graph, begun, total))

        def phase(name: str, share: float) -> None:
            bar.update(task, description=name, completed=share)

        def finished(graph: GraphName, engine: CachedEngine, built: bool) -> None:
            how = f"built in {engine.record.seconds:.0f} s" if built else "already in the cache"
            say(f"{graph}: {how}, {engine.record.size / 2**20:.1f} MiB  {engine.path}")

        yield Watch(started, phase, finished, lambda sentence: say(f"note: {sentence}"))


def _which(graph: GraphName, index: int, total: int) -> str:
    """Name a graph and its place among those of its package; a photo package has only one."""
    return graph if graph == PHOTO else f"{graph} {index}/{total}"
