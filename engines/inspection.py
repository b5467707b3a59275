"""Tables that describe packages, engines and the cache."""

import re
from datetime import datetime, timezone

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from engines.cache import CachedEngine, Entry
from engines.layers import precisions
from engines.package import Package, Port
from engines.record import EngineRecord

_MIB = 2**20


def plain_table(*columns: Column | str, title: str | None = None) -> Table:
    """Return a table without borders."""
    return Table(*columns, title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def engines_table(entries: list[Entry], *, title: str | None = None) -> Table:
    """Return a table of engines."""
    names = [Column(heading, overflow="fold") for heading in ("graph", "runtime", "target", "types")]
    figures = [Column(heading, justify="right", no_wrap=True) for heading in ("batch", "MiB")]
    last = Column("last used", no_wrap=True)
    table = plain_table(Column("engine", no_wrap=True), *names, *figures, last, title=title)
    for entry in entries:
        key = entry.record.key
        name = entry.path.stem.rpartition("-")[2]  # the first digits of the hash are enough for `inspect`
        graph = f"{entry.record.package}/{key.graph} {key.graph_sha256[:6]}"  # packages may share a name
        runtime = f"{key.runtime} {key.version}"
        batch = f"1…{key.max_batch}"
        size = f"{entry.size / _MIB:.1f}"
        used = datetime.fromtimestamp(entry.used, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(*map(Text, (name, graph, runtime, key.target, key.precision, batch, size, used)))
    return table


def package_report(package: Package, entries: list[Entry]) -> RenderableType:
    """Describe a package: its manifest, its graphs and its cached engines."""
    manifest = package.manifest
    head = Text(
        f"{manifest.summary}, {manifest.precision}, opset {manifest.opset}, loop {manifest.loop_kind}\n"
        f"package: {package.folder}\n"
        f"licence: {manifest.source.licence}"
    )
    graphs = plain_table("graph", Column("MiB", justify="right"), "inputs", "outputs")
    for name, graph in manifest.graphs.items():
        size = f"{package.graph(name).stat().st_size / _MIB:.1f}"
        graphs.add_row(*map(Text, (name, size, _ports(graph.inputs), _ports(graph.outputs))))
    hashes = {graph.sha256 for graph in manifest.graphs.values()}
    mine = [entry for entry in entries if entry.record.key.graph_sha256 in hashes]
    if not mine:
        return Group(head, graphs, Text("no engines in the cache: `python -m engines build` makes them"))
    return Group(head, graphs, engines_table(mine, title="engines in the cache"))


def engine_report(engine: CachedEngine, *, all_layers: bool) -> RenderableType:
    """Describe an engine: key, memory, layers by precision and, on request, every layer."""
    record, key = engine.record, engine.record.key
    lines = [
        f"{key.graph}.onnx of {record.package} ({key.precision}), batch 1…{key.max_batch}, for {key.target}",
        f"engine: {engine.path}",
        f"built {record.built} in {record.seconds:g} s by {key.runtime} {key.version}",
        f"size {_mib(record.size)}, weights {_mib(record.weights_bytes)}, "
        f"activations {_mib(record.activation_bytes)} at batch {key.max_batch}",
    ]
    parts: list[RenderableType] = [Text("\n".join(lines))]
    if not record.layers:
        parts.append(Text("layers: not recorded"))
        return Group(*parts)
    parts.append(_counts(record))
    if all_layers:
        parts.append(_layers(record))
    return Group(*parts)


def _counts(record: EngineRecord) -> Table:
    kinds = {
        "all": record.layers,
        "with a convolution": tuple(layer for layer in record.layers if layer.convolves),
    }
    found = list(precisions(record.layers))
    table = plain_table("layers", *(Column(precision, justify="right") for precision in found))
    for name, layers in kinds.items():
        counts = precisions(layers)
        table.add_row(name, *(str(counts.get(precision, 0)) for precision in found))
    return table


def _layers(record: EngineRecord) -> Table:
    headings = ("layer", "kind", "precision", "ONNX nodes")
    table = plain_table(*(Column(heading, overflow="fold") for heading in headings))
    for layer in record.layers:
        nodes = " ".join(re.sub(r"\s+", " ", node) for node in layer.nodes)
        table.add_row(*map(Text, (layer.name, layer.kind, layer.precision, nodes)))
    return table


def _ports(ports: tuple[Port, ...]) -> str:
    return "\n".join(
        f"{port.name} {'×'.join(map(str, port.shape))}{'' if port.dtype == 'float32' else f' {port.dtype}'}"
        for port in ports
    )


def _mib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / _MIB:.1f} MiB"
