"""The photo network as a package."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto
from safetensors.torch import save_file

from base.errors import CheckpointError, GpenEdgeError, PackageError
from engines.package import PHOTO, open_package
from export.photo.exporter import export_photo_network, load_photo_network
from export.photo.network import PhotoNetwork, StaticPhotoNetwork


def weights(path: Path) -> Path:
    torch.manual_seed(0)
    save_file(PhotoNetwork().state_dict(), path)
    return path


def test_the_exported_form_is_the_same_function(tmp_path: Path) -> None:
    network = load_photo_network(weights(tmp_path / "photo.safetensors"))
    photo, edge = torch.rand(1, 3, 64, 72), network.overlap
    with torch.no_grad():
        whole = network(photo)[..., edge:-edge, edge:-edge]
        tile = StaticPhotoNetwork(network)(photo)
    assert torch.allclose(whole, tile, atol=1e-5)
    assert sum(value.numel() for value in network.parameters()) < 250_000


@pytest.mark.usefixtures("small_tiles")
def test_a_package_is_made_and_recognised(tmp_path: Path) -> None:
    package, parity = export_photo_network(weights(tmp_path / "w.safetensors"), tmp_path / "photo")
    assert parity.apart < 1e-5
    assert open_package(tmp_path / "photo", kind=PHOTO).manifest == package.manifest
    assert sum(file.stat().st_size for file in (tmp_path / "photo").iterdir()) < 1_000_000
    with pytest.raises(
        PackageError, match=r"give another; .*runtime\.restore. takes this one as --photo-network"
    ):
        open_package(tmp_path / "photo", kind="face")


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.photo.exporter.ROWS", 64)
    monkeypatch.setattr("export.photo.exporter.COLUMNS", 96)


@pytest.mark.usefixtures("small_tiles")
def test_half_precision_is_in_the_types_of_the_graph(tmp_path: Path) -> None:
    path = weights(tmp_path / "w.safetensors")
    whole, _ = export_photo_network(path, tmp_path / "whole")
    given_back = load_photo_network(whole.folder).state_dict()
    for name, value in load_photo_network(path).state_dict().items():
        assert torch.allclose(given_back[name], value, atol=1e-6), name
    package, parity = export_photo_network(whole.folder, tmp_path / "half", precision="fp16")
    assert package.manifest.source == whole.manifest.source
    with pytest.raises(PackageError, match="give the FP32 one"):
        load_photo_network(package.folder)
    assert 60 < parity.psnr < 100
    graph = package.manifest.graphs[PHOTO]
    assert package.manifest.precision == "fp16"
    assert {port.dtype for port in (*graph.inputs, *graph.outputs)} == {"float32"}
    model = onnx.load(package.graph(PHOTO))
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    kernels = [types[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    assert kernels == [TensorProto.FLOAT16] * len(load_photo_network(path).layers)


def test_a_package_of_another_form_is_refused(photo_package: Path) -> None:
    with pytest.raises(PackageError, match="not of the form that this exporter writes") as error:
        load_photo_network(photo_package)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("small_tiles")
def test_weights_that_half_precision_spoils_are_refused_in_one_line(tmp_path: Path) -> None:
    state = load_photo_network(weights(tmp_path / "w.safetensors")).state_dict()
    state["convolutions.3.bias"] += 3000  # beyond the bound of stored activations
    save_file(state, tmp_path / "far.safetensors")
    with pytest.raises(GpenEdgeError, match=r"at least 60 dB are needed: .* without --precision") as error:
        export_photo_network(tmp_path / "far.safetensors", tmp_path / "half", precision="fp16")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize("fault", ["missing", "foreign", "nan", "text"])
def test_other_weights_are_refused(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "other.safetensors"
    state = PhotoNetwork().state_dict()
    if fault == "foreign":
        save_file({"convolutions.0.weight": torch.zeros(3, 3)}, path)
    elif fault == "nan":
        save_file({name: value * float("nan") for name, value in state.items()}, path)
    elif fault == "text":
        path.write_text("no tensors")
    with pytest.raises(CheckpointError, match="other") as error:
        load_photo_network(path)
    assert "\n" not in str(error.value)
