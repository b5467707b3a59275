"""`python -m export photo WEIGHTS -o PACKAGE`: make the package of a photo network."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from base import command_line
from base.command_line import print_lines
from base.errors import CheckpointError, GpenEdgeError, PackageError
from base.files import sha256
from engines.package import PHOTO, Manifest, Package, Source, new_package, open_package, write_manifest
from engines.portrait import portraits
from export.exporter import write_graph
from export.photo.half import HalfPhotoNetwork
from export.photo.network import CHANNELS, PhotoNetwork, StaticPhotoNetwork, unfolded
from export.tracing import TracedGraph, to_onnx

ROWS, COLUMNS = 512, 1024
"""Size of a tile without its overlap."""
OPSET = 17
TOLERANCE = 1e-5
"""Largest difference of an FP32 graph from the trained network, in [0, 1]."""
NOISE = 0.04
"""σ of the noise in the portrait that graphs are compared on."""
LEAST_PSNR = 60.0
"""dB that an FP16 graph must keep to the trained network."""

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class Parity:
    """How far an exported graph is from the trained network, over a noisy portrait."""

    apart: float
    """Largest difference, in [0, 1]."""
    psnr: float
    """dB."""

    def __str__(self) -> str:
        return f"{self.apart:.1e} ({self.psnr:.0f} dB)"


def load_photo_network(weights: Path) -> PhotoNetwork:
    """Return the network of a file from `python -m training photo`, or of an FP32 package.

    Raises CheckpointError for another file, and PackageError for another package.
    """
    if weights.is_dir() or str(weights) == PHOTO:
        return _of_package(open_package(weights, kind=PHOTO))
    try:
        tensors = load_file(weights)
    except FileNotFoundError:
        raise CheckpointError(f"no file {weights}") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{weights} is not a readable .safetensors file: {error}") from error
    network = PhotoNetwork()
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise CheckpointError(
            f"{weights} is not a photo network: tensor {wrong[0]} is {found.get(wrong[0], 'missing')}, "
            f"expected {expected.get(wrong[0], 'none')}"
        )
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise CheckpointError(f"{weights} has weights that are not finite: train it again")
    network.load_state_dict({name: value.float() for name, value in tensors.items()})
    return network.eval()


def _of_package(package: Package) -> PhotoNetwork:
    """Return the network of a package that this exporter wrote."""
    if package.manifest.precision != "fp32":
        raise PackageError(f"package {package.folder} is {package.manifest.precision}: give the FP32 one")
    graph = onnx.load(package.graph(PHOTO)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    names = [node.input for node in graph.node if node.op_type == "Conv"]
    try:
        weights, biases = ([torch.tensor(constants[name[i]]) for name in names] for i in (1, 2))
        return unfolded(weights, biases)
    except (IndexError, KeyError, RuntimeError, ValueError) as error:
        raise PackageError(
            f"package {package.folder} is not of the form that this exporter writes: give its weights"
        ) from error


def export_photo_network(
    weights: Path,
    folder: Path,
    *,
    name: str = PHOTO,
    licence: str = "Apache-2.0",
    precision: Precision = "fp32",
    overwrite: bool = False,
) -> tuple[Package, Parity]:
    """Write the package of a photo network; return it and how far it is from the trained network.

    weights    a .safetensors file, or the folder or bundled name of an FP32 package
    precision  of the convolutions; fp16 is for GPUs

    Raises CheckpointError and PackageError, and GpenEdgeError if the graph computes something else.
    """
    network = load_photo_network(weights)
    height, width = (side + 2 * network.overlap for side in (ROWS, COLUMNS))
    static = StaticPhotoNetwork(network) if precision == "fp32" else HalfPhotoNetwork(network)
    with new_package(folder, overwrite=overwrite) as target:
        model = to_onnx(TracedGraph(static, {"tile": torch.zeros(1, 3, height, width)}, ("change",)), OPSET)
        parity = _parity(network, model.SerializeToString(), (height, width))
        _check(parity, precision)
        manifest = Manifest(
            name=name,
            network={
                "kind": PHOTO,
                "channels": CHANNELS,
                "convolutions": len(network.layers),
                "overlap": network.overlap,
            },
            size=ROWS,
            template="published",
            precision=precision,
            opset=OPSET,
            source=_source(weights, licence),
            graphs={PHOTO: write_graph(model, target / f"{PHOTO}.onnx")},
        )
        write_manifest(target, manifest)
    return Package(folder, manifest), parity


def _source(weights: Path, licence: str) -> Source:
    """Return where the weights come from, as the package itself states if it is one."""
    if weights.is_file():
        return Source(sha256(weights), licence)
    return open_package(weights).manifest.source


def _check(parity: Parity, precision: Precision) -> None:
    """Raise GpenEdgeError if an exported graph is too far from the trained network."""
    if precision == "fp32" and not parity.apart <= TOLERANCE:
        raise GpenEdgeError(f"the exported photo network differs from the trained one by {parity}")
    if precision == "fp16" and not parity.psnr >= LEAST_PSNR:
        raise GpenEdgeError(
            f"in FP16 the photo network differs from the trained one by {parity}, and at least "
            f"{LEAST_PSNR:g} dB are needed: export it without --precision fp16"
        )


@torch.no_grad()
def _parity(network: PhotoNetwork, model: bytes, size: tuple[int, int]) -> Parity:
    """Return how far the graph is from the network, over a portrait with a little noise."""
    clean = portraits(max(size))[:1, :, : size[0], : size[1]] / 2 + 0.5
    noise = np.random.default_rng(0).normal(0, NOISE, clean.shape)
    face = torch.from_numpy(np.clip(clean + noise, 0, 1).astype(np.float32))
    edge = network.overlap
    expected: Tensor = network(face)[..., edge:-edge, edge:-edge]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"tile": face.numpy()})
    difference = result - expected.numpy()
    squared = float(np.square(difference, dtype=np.float64).mean())
    return Parity(float(np.abs(difference).max()), -10 * math.log10(squared) if squared > 0 else math.inf)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m export photo`."""
    add = parser.add_argument
    about = "The .safetensors file that `python -m training photo` writes, or an FP32 package."
    add("weights", type=Path, help=about)
    add("-o", "--output", type=Path, required=True, metavar="PACKAGE", help="Folder to write the package to.")
    add("--name", default=PHOTO, help="Name of the package.")
    add("--licence", default="Apache-2.0", help="Licence of weights in a file. (default: Apache-2.0)")
    add(
        "--precision",
        choices=get_args(Precision),
        default="fp32",
        help="Precision of the convolutions; fp16 is for GPUs. (default: fp32)",
    )
    add("--overwrite", action="store_true", help="Replace an existing package.")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    package, parity = export_photo_network(
        options.weights,
        options.output,
        name=options.name,
        licence=options.licence,
        precision=options.precision,
        overwrite=options.overwrite,
    )
    print_lines(
        f"package: {package.folder}",
        f"largest difference from the trained network: {parity}",
        f"restore: python -m runtime.restore PHOTO -o OUT --scope photo --photo-network {package.folder}",
    )
    return command_line.DONE
