"""The differences of two runtimes, as tables and sentences."""

from collections.abc import Sequence

from rich.table import Column, Table
from rich.text import Text

from engines.comparison import Difference, GraphDifference
from engines.inspection import plain_table


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
            lines.append(f"{graph.graph}: ONNX Runtime and {runtime} differ{where}{hint}")
    return lines or [f"ONNX Runtime and {runtime} agree in every graph"]


def _table(headings: tuple[str, str], rows: Sequence[tuple[str, Difference]]) -> Table:
    graph, name = Column(headings[0], no_wrap=True), Column(headings[1], overflow="fold")
    table = plain_table(graph, name, Column("difference", justify="right", no_wrap=True), "")
    for of, found in rows:
        verdict = "differs" if found.parts else ""
        table.add_row(*map(Text, (of, found.name, f"{found.largest:.1e}", verdict)))
    return table
