"""`python -m export parsing ParseNet-latest.pth -o PACKAGE`: add a face-parsing network to a package."""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from base import command_line
from base.command_line import print_lines
from base.errors import PackageError
from base.files import sha256
from engines.package import Package, Source, changed_package, open_package, write_manifest
from export import parity
from export.architectures import load_parsing
from export.exporter import write_graph
from export.parity import Comparison, Parity
from export.parsing_network import ParsingNetwork
from export.restoring import Expected
from export.tracing import TracedGraph, to_onnx


def add_parsing(
    checkpoint: Path,
    folder: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> tuple[Package, Parity]:
    """Add `parsing.onnx` to a package: `crop` → `scores`, for the 19 classes of CelebAMask-HQ.

    It is compared with the published network first. The rest of the package is not changed.

    checkpoint  a ParseNet, `.pth` or `.safetensors`
    folder      a package made by `export_package`
    name        a new name for the package; None keeps its own
    licence     of these weights, kept in the manifest; None uses that of the published ones
    overwrite   replace an existing face-parsing network

    Raises CheckpointError and PackageError, and GpenEdgeError if the graph computes wrong values. The package
    is then left unchanged.
    """
    if not folder.is_dir():
        raise PackageError(
            f"no package {folder}: create it first with `python -m export CHECKPOINT -o {folder}`"
        )
    manifest = open_package(folder, kind="face").manifest
    if "parsing" in manifest.graphs and not overwrite:
        raise PackageError(
            f"package {folder} already has a face-parsing network: add --overwrite to replace it"
        )
    network = load_parsing(checkpoint)
    crop = torch.zeros(2, 3, network.size, network.size)
    model = to_onnx(TracedGraph(network.constant(), {"crop": crop}, ("scores",)), manifest.opset)
    with changed_package(folder) as target:
        file = target / "parsing.onnx"
        graph = write_graph(model, file)
        differs = Comparison(_expected(network))("parsing", file)
        changed = replace(
            manifest,
            name=name or manifest.name,
            parsing_source=Source(sha256(checkpoint), licence or network.licence),
            graphs=manifest.graphs | {"parsing": graph},
        )
        write_manifest(target, changed)
    return Package(folder, changed), differs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m export parsing`."""
    add = parser.add_argument
    add("checkpoint", type=Path, help="ParseNet-latest.pth or parsing_parsenet.pth; or .safetensors.")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PACKAGE",
        help="The package to which it is added.",
    )
    add("--name", help="A new name for the package.")
    add("--licence", help="Licence of these weights. (default: that of the published weights)")
    add("--overwrite", action="store_true", help="Replace the package's face-parsing network.")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    with Console(stderr=True).status("tracing the network and comparing it with the published one"):
        package, differs = add_parsing(
            options.checkpoint,
            options.output,
            name=options.name,
            licence=options.licence,
            overwrite=options.overwrite,
        )
    (port,) = package.manifest.graphs["parsing"].inputs
    print_lines(
        f"{package.manifest.name}: parsing.onnx added, {port.shape[-1]}×{port.shape[-1]} pixels",
        f"package: {package.folder}",
        f"largest difference from the published network: {differs.random:.1e} over noise, "
        f"{differs.real:.1e} over a portrait",
    )
    return command_line.DONE


@torch.no_grad()
def _expected(network: ParsingNetwork) -> Expected:
    crops = parity.crops(network.size)
    return {"parsing": ({"crop": crops}, [network.published(crops)])}
