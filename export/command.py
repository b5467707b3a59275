"""Make a model package of ONNX graphs from a checkpoint: `python -m export CHECKPOINT -o PACKAGE`.

`python -m export parsing CHECKPOINT -o PACKAGE` adds a face-parsing network to a package;
`python -m export photo WEIGHTS -o PACKAGE` makes a package for the rest of the photo;
`python -m export triton PACKAGE -o REPOSITORY` writes a model repository for Triton Inference Server.
"""

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from base import command_line
from base.command_line import print_lines, progress_of
from base.command_parser import CommandParser
from base.setting import add_options, options_of
from engines.package import GraphName, Package
from export import parsing
from export.exporter import ExportOptions, export_package, step_count
from export.parity import Parity
from export.photo import exporter


def export(arguments: list[str]) -> int:
    """Run the command; return its exit status. Raises GpenEdgeError."""
    parser = CommandParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_arguments(commands.add_parser("package", prog="python -m export", description=__doc__))
    parsing.add_arguments(
        commands.add_parser("parsing", description="Add a face-parsing network to a model package.")
    )
    exporter.add_arguments(
        commands.add_parser("photo", description="Make the package of a network for the rest of the photo.")
    )
    if arguments[:1] not in (["parsing"], ["photo"]):
        arguments = ["package", *arguments]  # the command that is meant if none is named
    options = parser.parse_args(arguments)
    return int(options.run(options))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "checkpoint",
        type=Path,
        help="A .pth or .safetensors file. The kind of network follows from its tensors.",
    )
    add("-o", "--output", type=Path, required=True, help="Folder to write the package to.")
    add_options(parser, ExportOptions)
    add("--overwrite", action="store_true", help="Replace an existing package.")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with progress_of(*columns) as bar:
        # Progress is reported at the start of each step, hence −1.
        task = bar.add_task("", total=step_count(fused=options.fused), completed=-1)
        package, parities = export_package(
            options.checkpoint,
            options.output,
            options_of(options, ExportOptions),
            overwrite=options.overwrite,
            progress=lambda step: bar.update(task, advance=1, description=step),
        )
    print_lines(package.manifest.summary, f"package: {package.folder}")
    Console().print(_table(package, parities))
    folder = shlex.quote(str(package.folder))
    print_lines(
        f"restore: python -m runtime.restore photo.jpg -o restored.jpg --model {folder}",
        f"next: python -m calibration latents {folder} --images PORTRAITS measures which loop suits it",
        f"for a GPU: python -m engines build {folder}",
    )
    return command_line.DONE


def _table(package: Package, parities: Mapping[GraphName, Parity]) -> Table:
    figures = [Column(heading, justify="right") for heading in ("MiB", "over noise", "over a portrait")]
    table = Table("graph", *figures, title="largest difference from the published network")
    for name, parity in parities.items():
        file = package.graph(name)
        size = file.stat().st_size / 2**20
        table.add_row(file.name, f"{size:.1f}", f"{parity.random:.1e}", f"{parity.real:.1e}")
    return table
