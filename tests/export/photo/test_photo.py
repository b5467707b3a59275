"""The photo network as a package."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from base.errors import CheckpointError, PackageError
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


def test_a_package_is_made_and_recognised(tmp_path: Path) -> None:
    package, apart = export_photo_network(weights(tmp_path / "w.safetensors"), tmp_path / "photo")
    assert apart < 1e-5
    assert open_package(tmp_path / "photo", kind=PHOTO).manifest == package.manifest
    assert sum(file.stat().st_size for file in (tmp_path / "photo").iterdir()) < 1_000_000
    with pytest.raises(PackageError, match="give it as --photo-network"):
        open_package(tmp_path / "photo", kind="face")


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
