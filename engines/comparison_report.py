"""The differences of two runtimes, as tables and sentences."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from engines.comparison import Difference, GraphDifference


def comparison_table(graphs: Sequence[GraphDifference]) -> Table:
    """Return a row for every output of every graph."""
    rows = [(graph.graph, output) for graph in graphs for output in graph.outputs]
    return _table(("graph", "output"), rows)


def layers_table(graph: GraphDifference) -> Table:
    """Return a row for every layer of a graph, in the order in which they are computed."""
    return _table(("graph", "layer"), [(graph.graph, layer) for layer in graph.layers])


def verdict(graphs: Sequence[GraphDifference], runtime: str) -> list[str]:
    """Return a line for every graph that differs, with its first such layer if it is known, or one line if
    none differs."""
    lines = []
    for graph in graphs:
        if graph.parts:
            first = graph.first_layer
            where = f", first in layer {first.name}" if first else ""
            hint = "" if graph.layers else ": --layers shows where"
            lines.append(f"{graph.graph}: ONNX Runtime and {runtime} part{where}{hint}")
    return lines or [f"ONNX Runtime and {runtime} agree in every graph"]


def _table(headings: tuple[str, str], rows: Sequence[tuple[str, Difference]]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(headings[0], no_wrap=True)
    table.add_column(headings[1], overflow="fold")
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("")
    for name, difference in rows:
        part = "parts" if difference.parts else ""
        table.add_row(*map(Text, (name, difference.name, f"{difference.largest:.1e}", part)))
    return table
