"""Progress of building engines before the first photo; nothing is shown if they exist already."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from engines.builder import Watch
from engines.cache import CachedEngine
from engines.package import REQUIRED, GraphName


@contextmanager
def told_when_building() -> Iterator[Watch]:
    """Yield a watch that shows on standard error what is built, with a progress bar on a terminal."""
    with ExitStack() as open_bar:
        graph: GraphName = REQUIRED[0]
        bar: Watch | None = None

        def shown() -> Watch:
            nonlocal bar
            if bar is None:
                from rich.console import Console  # here, because most runs build nothing

                from engines.progress import shown as progress

                console = Console(stderr=True)
                console.print("building TensorRT engines for this GPU: this takes minutes, but only once")
                bar = open_bar.enter_context(progress(console, len(REQUIRED)))
                bar.started(graph)
            return bar

        def started(name: GraphName) -> None:
            nonlocal graph
            graph = name
            if bar is not None:
                bar.started(name)

        def finished(name: GraphName, engine: CachedEngine, built: bool) -> None:
            if built:
                shown().finished(name, engine, built)

        yield Watch(
            started,
            lambda phase, share: shown().phase(phase, share),
            finished,
            lambda sentence: bar.notice(sentence) if bar else print(sentence, file=sys.stderr),  # noqa: T201
        )
