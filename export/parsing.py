"""`python -m export parsing ParseNet-latest.pth -o PACKAGE`: a package learns to tell hair from skin."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from base import command_line
from base.errors import PackageError
from engines.package import Package, Source, changed_package, open_package, sha256, write_manifest
from export import parity
from export.checkpoint import load_tensors
from export.exporter import write_graph
from export.graphs import TracedGraph, to_onnx
from export.parity import Expected, Parity
from export.parsing_layout import TENSOR_NAMES, read_parsing_layout
from export.parsing_network import ParseNet, class_scores, fold

PUBLISHED_LICENCE = (
    "unknown; the published ParseNet weights come from PSFRGAN (CC BY-NC-SA 4.0), trained on CelebAMask-HQ "
    "(non-commercial research only)"
)


def add_parsing(
    checkpoint: Path,
    folder: Path,
    *,
    name: str | None = None,
    licence: str = PUBLISHED_LICENCE,
    overwrite: bool = False,
) -> tuple[Package, Parity]:
    """Add `parsing.onnx` to a package: `crop` → `scores`, of the 19 classes of CelebAMask-HQ.

    It is compared with the published network first. All else in the package stays as it is.

    checkpoint  a ParseNet, `.pth` or `.safetensors`
    folder      a package made by `export_package`
    name        a new name for the package; None keeps its own
    licence     of the ParseNet weights, kept in the manifest
    overwrite   replace a face-parsing network that the package has already

    Raises CheckpointError and PackageError, and GpenEdgeError when the graph does not compute what it should.
    The package is as it was then.
    """
    if not folder.is_dir():
        raise PackageError(f"no package {folder}: make it first with python -m export CHECKPOINT -o {folder}")
    manifest = open_package(folder).manifest
    if "parsing" in manifest.graphs and not overwrite:
        raise PackageError(f"package {folder} has a face-parsing network already: --overwrite replaces it")
    layout, state = load_tensors(checkpoint, read_parsing_layout, TENSOR_NAMES)
    network = ParseNet.from_state(layout, state)
    crop = torch.zeros(2, 3, layout.size, layout.size)
    traced = TracedGraph(partial(class_scores, fold(network)), {"crop": crop}, ("scores",))
    model = to_onnx(traced, manifest.opset)
    parities = parity.compare({"parsing": model}, partial(_expected, network), layout.size)
    with changed_package(folder) as target:
        changed = replace(
            manifest,
            name=name or manifest.name,
            parsing_source=Source(sha256(checkpoint), licence),
            graphs=manifest.graphs | {"parsing": write_graph(model, target / "parsing.onnx")},
        )
        write_manifest(target, changed)
    return Package(folder, changed), parities["parsing"]


def command(arguments: list[str]) -> int:
    """Do what the command line says; return its exit status. Raises as `add_parsing` does."""
    parser = argparse.ArgumentParser(
        prog="python -m export parsing", description="Add a face-parsing network to a model package."
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="ParseNet-latest.pth or parsing_parsenet.pth; or .safetensors")
    add("-o", "--output", type=Path, required=True, metavar="PACKAGE", help="the package that gets it")
    add("--name", help="a new name for the package")
    add("--licence", default=PUBLISHED_LICENCE, help="licence of these weights, for the manifest")
    add("--overwrite", action="store_true", help="replace a face-parsing network that is there")
    return _add(parser.parse_args(arguments))


def _add(options: argparse.Namespace) -> int:
    with Console(stderr=True).status("tracing ParseNet and comparing it with the published network"):
        package, differs = add_parsing(
            options.checkpoint,
            options.output,
            name=options.name,
            licence=options.licence,
            overwrite=options.overwrite,
        )
    (port,) = package.manifest.graphs["parsing"].inputs
    Console().print(
        f"{package.manifest.name}: parsing.onnx added, {port.shape[-1]}×{port.shape[-1]} pixels",
        f"package: {package.folder}",
        f"largest difference from the published network: {differs.random:.1e} over noise, "
        f"{differs.real:.1e} over a portrait",
        sep="\n",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return command_line.DONE


@torch.no_grad()
def _expected(network: ParseNet, crops: Tensor) -> Expected:
    return {"parsing": ({"crop": crops}, [network(crops)])}
