"""`python -m export photo WEIGHTS -o PACKAGE`: make the package of a photo network."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from base import command_line
from base.command_line import print_lines
from base.errors import CheckpointError, GpenEdgeError
from base.files import sha256
from engines.package import PHOTO, Manifest, Package, Source, new_package, write_manifest
from engines.portrait import portraits
from export.exporter import write_graph
from export.photo.network import CHANNELS, PhotoNetwork, StaticPhotoNetwork
from export.tracing import TracedGraph, to_onnx

ROWS, COLUMNS = 512, 1024
"""Size of a tile without its overlap."""
OPSET = 17
TOLERANCE = 1e-5
"""Largest difference from the trained network, in [0, 1]."""


def load_photo_network(weights: Path) -> PhotoNetwork:
    """Return the network of a file from `python -m training photo`. Raises CheckpointError for another."""
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


def export_photo_network(
    weights: Path, folder: Path, *, name: str = PHOTO, licence: str = "Apache-2.0", overwrite: bool = False
) -> tuple[Package, float]:
    """Write the package of a photo network; return it and its largest difference from the trained network.

    Raises CheckpointError and PackageError, and GpenEdgeError if the graph computes something else.
    """
    network = load_photo_network(weights)
    height, width = (side + 2 * network.overlap for side in (ROWS, COLUMNS))
    static = StaticPhotoNetwork(network)
    with new_package(folder, overwrite=overwrite) as target:
        model = to_onnx(TracedGraph(static, {"tile": torch.zeros(1, 3, height, width)}, ("change",)), OPSET)
        apart = _difference(network, model.SerializeToString(), (height, width))
        if not apart <= TOLERANCE:
            raise GpenEdgeError(f"the exported photo network differs from the trained one by {apart:.1e}")
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
            precision="fp32",
            opset=OPSET,
            source=Source(sha256(weights), licence),
            graphs={PHOTO: write_graph(model, target / f"{PHOTO}.onnx")},
        )
        write_manifest(target, manifest)
    return Package(folder, manifest), apart


@torch.no_grad()
def _difference(network: PhotoNetwork, model: bytes, size: tuple[int, int]) -> float:
    """Return the largest difference of the graph from the network, over a portrait."""
    face = torch.from_numpy(portraits(max(size))[:1, :, : size[0], : size[1]]) / 2 + 0.5
    edge = network.overlap
    expected: Tensor = network(face)[..., edge:-edge, edge:-edge]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"tile": face.numpy()})
    return float(np.abs(result - expected.numpy()).max())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m export photo`."""
    add = parser.add_argument
    add("weights", type=Path, help="The .safetensors file that `python -m training photo` writes.")
    add("-o", "--output", type=Path, required=True, metavar="PACKAGE", help="Folder to write the package to.")
    add("--name", default=PHOTO, help="Name of the package.")
    add("--licence", default="Apache-2.0", help="Licence of the weights.")
    add("--overwrite", action="store_true", help="Replace an existing package.")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    package, apart = export_photo_network(
        options.weights,
        options.output,
        name=options.name,
        licence=options.licence,
        overwrite=options.overwrite,
    )
    print_lines(
        f"package: {package.folder}",
        f"largest difference from the trained network: {apart:.1e}",
        f"restore: python -m runtime.restore PHOTO -o OUT --scope photo --photo-network {package.folder}",
    )
    return command_line.DONE
