"""Winograd's filtering computes what the convolution computes, and only where it gains."""

from dataclasses import asdict
from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F

from engines.package import open_package
from export.exporter import ExportOptions, export_package
from export.gpen import static
from export.gpen.architecture import quicken
from export.gpen.layout import Layout
from export.gpen.network import Gpen
from export.winograd import LEAST_OUTPUTS, Winograd, winograd

WIDE = Layout(64, channel_multiplier=1, narrow=0.5, style_dim=16, n_mlp=1)
"""256 channels at 32×32, 128 at 64×64."""


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 20), (32, 32)])
@pytest.mark.parametrize("batch", [1, 3])
def test_winograd_is_the_convolution(batch: int, height: int, width: int) -> None:
    random = torch.Generator().manual_seed(height + batch)
    x = torch.randn(batch, 10, height, width, generator=random)
    weight = torch.randn(6, 10, 3, 3, generator=random)
    found = winograd(weight)(list(torch.split(x, [4, 6], 1)))
    assert torch.allclose(found, F.conv2d(x, weight, padding=1), atol=2e-3, rtol=0)


def test_only_wide_layers_that_keep_the_resolution_are_quickened() -> None:
    net = quicken(static.fold(Gpen(WIDE)))
    quick = [i for i, layer in enumerate(net.styled) if isinstance(layer.convolve, Winograd)]
    assert WIDE.channels(32) == LEAST_OUTPUTS
    assert quick == [6]  # after 4, 8, 8, 16, 16 and the doubling to 32


def test_a_winograd_package_matches_the_published_network_and_is_marked(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    checkpoint = tmp_path / "wide.pth"
    torch.save(Gpen(WIDE).state_dict(), checkpoint)
    package, parities = export_package(checkpoint, tmp_path / "package", ExportOptions(winograd=True))
    assert max(max(asdict(parity).values()) for parity in parities.values()) < 1e-4
    assert open_package(package.folder).manifest.winograd
    generator = onnx.load(package.graph("generator")).graph
    products = [tensor for tensor in generator.initializer if list(tensor.dims) == [36, 256, 512]]
    kernels = [tensor for tensor in generator.initializer if list(tensor.dims) == [256, 256, 3, 3]]
    assert len(products) == 1
    assert len(kernels) == 5  # one at 4×4; at 8×8 and 16×16 two halves each
