"""`python -m engines build|compare|list|inspect|import|delete`: build and manage the engines of packages."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from rich.console import Console

from base import command_line
from base.command_line import print_lines
from base.command_parser import CommandParser
from base.errors import EngineError
from base.setting import add_options, options_of
from base.text import one_line
from engines.builder import EngineOptions, engine_for, resolve
from engines.cache import EngineCache, Entry
from engines.engine_files import ENGINE
from engines.inspection import engine_report, engines_table, package_report
from engines.package import REQUIRED, GraphName, open_package
from engines.progress import shown


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> int:
    return int(options.command(options))


def parser() -> CommandParser:
    """Return the parser of the command line."""
    about = "Build TensorRT engines for model packages, and manage their cache."
    parser = CommandParser(prog="python -m engines", description=about)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_build(commands)
    _add_compare(commands)

    about = "List the engines in the cache."
    listing = commands.add_parser("list", help=about, description=about)
    listing.set_defaults(command=_list)

    about = "Describe a package or an engine: graphs, layers, precisions, memory."
    inspect = commands.add_parser("inspect", help=about, description=about)
    inspect.set_defaults(command=_inspect)
    inspect.add_argument(
        "what", metavar="PACKAGE|ENGINE", help="A package, an engine file, or an engine's name from `list`."
    )
    inspect.add_argument("--layers", action="store_true", help="Show every layer of an engine.")

    about = "Copy engines made with `build --output` into this machine's cache."
    take_in = commands.add_parser("import", help=about, description=about)
    take_in.set_defaults(command=_import)
    take_in.add_argument("folder", type=Path, metavar="DIR", help="Folder with the engines.")

    about = "Delete engines from the cache; they are rebuilt when needed again."
    delete = commands.add_parser("delete", help=about, description=about)
    delete.set_defaults(command=_delete)
    chosen = delete.add_mutually_exclusive_group(required=True)
    chosen.add_argument("engine", nargs="?", metavar="ENGINE", help="Name of an engine, from `list`.")
    chosen.add_argument(
        "--package", metavar="NAME", help="Delete all engines of the packages with this name."
    )
    chosen.add_argument("--all", action="store_true", help="Delete all engines.")
    return parser


def _add_build(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    about = "Build the engines of a package; engines already in the cache are reused."
    build = commands.add_parser("build", help=about, description=about)
    build.set_defaults(command=_build)
    add = build.add_argument
    add("package", metavar="PACKAGE", help="Package folder, or name of a bundled package.")
    add_options(build, EngineOptions)
    add(
        "--graphs",
        metavar="NAMES",
        help=f"Build only these: {', '.join(get_args(GraphName))}. (default: {', '.join(REQUIRED)})",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="Also copy the engines to this folder, to move them to another machine with the package.",
    )


def _add_compare(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    about = "Run each graph of a package in two runtimes on the same portraits, and show where they part."
    compare = commands.add_parser(
        "compare", help=about, description=f"{about} The exit status is 1 if they do."
    )
    compare.set_defaults(command=_compare)
    add = compare.add_argument
    add("package", metavar="PACKAGE", help="Package that ONNX Runtime runs on the CPU.")
    add(
        "--with",
        dest="runtime",
        choices=("onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"),
        default="openvino",
        metavar="NAME",
        help="The other runtime: onnxruntime, openvino, tensorrt or tensorrt-rtx. (default: openvino)",
    )
    add("--against", metavar="PACKAGE", help="Package that the other runtime runs. (default: the same)")
    add(
        "--layers",
        action="store_true",
        help="Show every layer of the graphs that differ, and name the first.",
    )
    add(
        "--tolerance",
        type=float,
        metavar="T",
        help="Largest difference, relative to the largest value of an output. (default: 0.0001, FP16 0.02, "
        "INT8 0.05)",
    )


def _compare(options: argparse.Namespace) -> int:
    from engines.comparison import TOLERANCE, compare
    from engines.comparison_report import comparison_table, layers_table, verdict

    package = open_package(options.package)
    other = open_package(options.against) if options.against else package
    tolerance = options.tolerance
    if tolerance is None:
        tolerance = max(TOLERANCE[each.manifest.precision] for each in (package, other))
    if not 0 <= tolerance < float("inf"):
        raise EngineError(f"--tolerance {tolerance}: give 0 or more")
    found = list(compare(package, other, options.runtime, tolerance, layers=options.layers))
    console = Console()
    console.print(comparison_table(found))
    for graph in found:
        if graph.parts and graph.layers:
            console.print(layers_table(graph))
    print_lines(*verdict(found, options.runtime))
    return int(any(graph.parts for graph in found))


def _build(options: argparse.Namespace) -> int:
    package = open_package(options.package)
    graphs = _graphs(options.graphs) or package.manifest.required
    for graph in graphs:
        package.graph(graph)
    resolved = resolve(options_of(options, EngineOptions, exact=True))
    if options.runtime is None and not resolved.api.tunes and resolved.gpu is None and not options.targets:
        Console(stderr=True).print(
            "no working GPU was found, so TensorRT-RTX engines are built for Ampere and all newer GPUs; "
            "--target names others, and --runtime rtx builds without this message",
            soft_wrap=True,
            highlight=False,
        )
    cache = EngineCache()
    paths = []
    with shown(Console(stderr=True), len(graphs)) as watch:
        for graph in graphs:
            engine = engine_for(package, graph, resolved, cache=cache, watch=watch)
            paths.append(
                cache.copy_out(engine.cached, options.output) if options.output else engine.cached.path
            )
    if gone := [path.name for path in paths if not path.exists()]:
        raise EngineError(
            f"the cache's limit of {cache.limit >> 20} MiB is less than this package's engines need: "
            f"{', '.join(gone)} did not fit and were deleted; raise $GPEN_EDGE_CACHE_MIB"
        )
    print_lines(*paths)
    return command_line.DONE


def _console() -> Console:
    """Return standard output; piped output is not wrapped at the terminal's width."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _graphs(names: str | None) -> tuple[GraphName, ...] | None:
    """Return the named graphs; None if none are named, which stands for all required graphs."""
    if names is None:
        return None
    known: tuple[GraphName, ...] = get_args(GraphName)
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if strange := sorted(wanted - set(known)):
        raise EngineError(f"no graph {strange[0]!r}: there are {', '.join(known)}")
    if not wanted:
        raise EngineError(f"no graph given: choose from {', '.join(known)}")
    return tuple(name for name in known if name in wanted)


def _list(options: argparse.Namespace) -> int:
    cache = EngineCache()
    entries = cache.entries()
    if entries:
        _console().print(engines_table(entries))
    total = sum(entry.size for entry in entries)
    print_lines(f"{len(entries)} engines, {total / 2**20:.1f} of {cache.limit >> 20} MiB in {cache.folder}")
    return command_line.DONE


def _inspect(options: argparse.Namespace) -> int:
    cache, console = EngineCache(), _console()
    if (path := _engine_file(cache, options.what)) is not None:
        console.print(engine_report(cache.read(path), all_layers=options.layers))
    else:
        console.print(package_report(open_package(options.what), cache.entries()))
    return command_line.DONE


def _delete(options: argparse.Namespace) -> int:
    cache = EngineCache()

    def is_meant(entry: Entry) -> bool:
        named = (entry.path.stem, entry.path.stem.rpartition("-")[2])
        return options.all or entry.record.package == options.package or options.engine in named

    entries = cache.entries()
    meant = [entry for entry in entries if is_meant(entry)]
    if not meant and not options.all:
        what = f"engine {options.engine}" if options.engine else f"engine of a package {options.package}"
        raise EngineError(f"the cache has no {one_line(what)}: python -m engines list shows what it has")
    cache.delete(meant)
    freed = sum(entry.size for entry in meant) / 2**20
    print_lines(f"{len(meant)} engines deleted, {freed:.1f} MiB freed")
    return command_line.DONE


def _engine_file(cache: EngineCache, what: str) -> Path | None:
    if what.endswith(ENGINE):
        return Path(what)
    if Path(what).is_dir():
        return None
    for entry in cache.entries():
        if what in (entry.path.stem, entry.path.stem.rpartition("-")[2]):
            return entry.path
    return None


def _import(options: argparse.Namespace) -> int:
    cache = EngineCache()
    records = cache.take_in(options.folder)
    print_lines(f"{len(records)} engines imported into {cache.folder}")
    return command_line.DONE


if __name__ == "__main__":
    sys.exit(main())
