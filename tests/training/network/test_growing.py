"""A network that grows from small crops to large ones, and the form that a GPU trains."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from export.gpen import static
from export.gpen.layout import Layout
from export.gpen.network import Gpen
from training.network import dense
from training.network.growing import Growing
from training.network.reviving import revive

LAYOUT = Layout(256, 1, 0.125, 32, 2)


def smooth(size: int) -> torch.Tensor:
    """Crops without fine detail, 2×3×size×size."""
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return F.interpolate(F.interpolate(coarse, size=256, mode="bicubic"), size=size, mode="area")


def disturbed(network: Growing) -> Growing:
    """A network whose low resolutions have learnt something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for to_rgb in network.network.generator.rgbs[:4]:
            to_rgb.conv.weight.normal_(std=0.2, generator=generator)
    return network


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_training_starts_from_the_identity_at_every_size(resolution: int) -> None:
    crops = torch.rand(1, 3, resolution, resolution, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        restored = Growing(LAYOUT, resolution, seed=3)(crops)
    assert (restored.crops - crops).abs().max() < 1e-5
    assert [level.shape[-1] for level in restored.levels] == [
        r for r in (4, 8, 16, 32, 64, 128) if r < resolution
    ]


@torch.no_grad()
def test_a_grown_network_does_to_a_smooth_crop_what_the_smaller_one_did() -> None:
    network = disturbed(Growing(LAYOUT, 64, seed=3))
    before = network(smooth(64)).crops - smooth(64)
    assert before.abs().mean() > 0.05
    for size in (128, 256):
        network.grow()
        assert network.resolution == size
        added = network(smooth(size)).crops - smooth(size)
        inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))  # borders are padded otherwise
        difference = F.interpolate(added, size=64, mode="area") - before
        assert difference[inner].abs().mean() < 0.35 * before[inner].abs().mean()
    with pytest.raises(ValueError, match="full size"):
        network.grow()


def test_a_network_of_whole_size_is_one_of_the_published_layout() -> None:
    network = disturbed(Growing(LAYOUT, 128, seed=3))
    network.grow()
    assert network.entrance is None
    crops = smooth(256)
    with torch.no_grad():
        published = network.network(crops)
        assert (network(crops).crops - published).abs().max() < 1e-4


def test_the_gains_of_the_features_are_not_trained() -> None:
    network = Growing(LAYOUT, 64, seed=3)
    learning = {id(p) for p in network.learning()}
    held = {name for name, p in network.named_parameters() if id(p) not in learning}
    assert held == {name for name, _ in network.named_parameters() if name.endswith("noise.weight")}
    assert all(float(p.detach()) == 1 for name, p in network.named_parameters() if name in held)


def trained(layout: Layout) -> Gpen:
    """A network far from its start, with gains that are not 1."""
    torch.manual_seed(4)
    network = Gpen(layout)
    for conv in network.generator.styled_convs:
        conv.noise.weight.data.fill_(0.7)
        conv.activate.bias.data.normal_(std=0.1)
    return network.requires_grad_(False)


def test_the_form_that_a_gpu_trains_computes_the_same() -> None:
    network, crops = trained(Layout(64, 1, 0.125, 32, 2)), smooth(64)
    expected = static.restore(static.fold(network), crops)
    found = static.restore(dense.fold(network), crops)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_waking_silenced_features_keeps_the_output_and_lets_them_learn() -> None:
    network, crops = trained(Layout(64, 1, 0.125, 32, 2)), smooth(64)
    convs = network.generator.styled_convs
    for conv, reader in itertools.pairwise(convs[:4]):
        conv.noise.weight.fill_(1e-4)
        conv.activate.bias[len(conv.activate.bias) // 2 :] = 0
        # Training has shrunk what reads a feature that is silent: in the demodulation it counts a hundredth.
        reader.conv.weight[:, :, conv.conv.weight.shape[1] :] *= 0.1
    before = network(crops)
    assert revive(network) == 3
    after = network.requires_grad_(True)(crops)
    assert (after.detach() - before).abs().mean() < 0.1 * before.abs().mean()
    after.square().mean().backward()
    for conv, reader in itertools.pairwise(convs[:4]):
        outputs = conv.conv.weight.shape[1]
        assert float(conv.noise.weight.detach()) == 1
        assert not reader.conv.weight[:, :, outputs:].any()
        assert reader.conv.weight.grad[:, :, outputs:].any()
    assert revive(network) == 0
