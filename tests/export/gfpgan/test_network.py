"""GFPGAN as published, and the form that is exported, against what the published code computed."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from export.bilinear import bilinear_doubling, doubled, halved
from export.checkpoint import load_tensors
from export.gfpgan import static
from export.gfpgan.architecture import GFPGAN, gfpgan_network, quicken
from export.gfpgan.half import halve
from export.gfpgan.layout import GfpganLayout
from export.gfpgan.network import Gfpgan
from export.half import BOUND, MASS
from export.layers import Linear, Same

DATA = Path(__file__).parents[2] / "data"
PLAIN = DATA / "gfpgan64-plain.pth"
"""A random network with one style vector, and every channel scaled and shifted."""
PUBLISHED_SIZES = GfpganLayout(64, 2, 1 / 16, 32, different_w=True, sft_half=True)


@cache
def plain() -> Gfpgan:
    return Gfpgan.from_state(*load_tensors(PLAIN, GFPGAN))


@cache
def random(layout: GfpganLayout) -> Gfpgan:
    torch.manual_seed(0)
    network = Gfpgan(layout).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("conv1.weight") or "style_conv" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return network


@torch.no_grad()
def test_the_published_form_gives_what_the_published_code_gave() -> None:
    golden = np.load(DATA / "gfpgan64-plain.npz")
    crops = torch.from_numpy(golden["input"])
    assert np.abs(plain().encode(crops)[0].numpy() - golden["z"]).max() < 1e-5
    assert np.abs(plain()(crops).numpy() - golden["output"]).max() < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("change", [static.same, quicken])
@pytest.mark.parametrize("network", [plain, partial(random, PUBLISHED_SIZES)], ids=["plain", "published"])
def test_the_static_form_is_the_same_function(network: object, change: object) -> None:
    published = network()  # type: ignore[operator]
    net = change(static.fold(published))  # type: ignore[operator]
    crops = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z, conditions = static.encode(net, crops)
    expected_z, expected = published.encode(crops)
    torch.testing.assert_close(z, expected_z, atol=1e-5, rtol=1e-5)
    for found, wanted in zip(conditions, expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    picture = static.generate(net, static.map_latent(net, z), conditions)
    wanted = published(crops)
    torch.testing.assert_close(picture, wanted, atol=1e-5 * float(wanted.abs().max() + 1), rtol=1e-4)


def test_each_layer_has_a_style_vector_of_its_own() -> None:
    network = random(PUBLISHED_SIZES)
    crops = torch.zeros(1, 3, 64, 64)
    z, conditions = network.encode(crops)
    before = network.stylegan_decoder(z, conditions)
    for layer in range(PUBLISHED_SIZES.styles):
        moved = z.clone()
        moved[:, layer * 32 : layer * 32 + 32] += 1
        assert not torch.equal(network.stylegan_decoder(moved, conditions), before)


@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    channels=st.integers(1, 4),
    outputs=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_a_convolution_before_a_doubling_is_the_one_after_it(
    height: int, width: int, channels: int, outputs: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(2, channels, height, width, generator=random, dtype=torch.float64)
    weight = torch.randn(outputs, channels, 3, 3, generator=random, dtype=torch.float64)
    expected = F.conv2d(doubled(x), weight, padding=1)
    convolve = bilinear_doubling(weight)
    torch.testing.assert_close(convolve(list(x.split(1, 1))), expected)


def test_a_halving_is_the_published_one() -> None:
    x = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
    torch.testing.assert_close(halved(x), expected)


def test_without_noise_the_picture_is_another_one() -> None:
    layout, state = load_tensors(PLAIN, GFPGAN)
    network = gfpgan_network(layout, state)
    assert network.without_noise is not None
    quiet = network.without_noise()
    assert (network.numbers["noise"], quiet.numbers["noise"]) == ("stored", "none")
    crops = torch.zeros(1, 3, 64, 64)
    assert not torch.equal(network.published.restore(crops), quiet.published.restore(crops))
    with torch.no_grad():
        torch.testing.assert_close(
            quiet.constant("exact").restore(crops), quiet.published.restore(crops), atol=1e-5, rtol=1e-4
        )


@cache
def folded() -> static.StaticGfpgan:
    """The same network for every example: to fold it takes longest."""
    return static.fold(random(PUBLISHED_SIZES))


def extremes() -> st.SearchStrategy[float]:
    return st.sampled_from([0.0, 1e-20, 1e-8, 1.0, 1e4, 1e15])


@torch.no_grad()
@given(
    weights=extremes(), styles=extremes(), inputs=extremes(), conditions=extremes(), seed=st.integers(0, 99)
)
def test_a_hostile_level_of_the_half_form_stays_within_its_bounds(
    weights: float, styles: float, inputs: float, conditions: float, seed: int
) -> None:
    """A doubling, scaling and shifting, and a convolution, as hostile as they come."""
    generator = torch.Generator().manual_seed(seed)
    net = folded()
    up, after = net.styled[1:3]
    assert isinstance(up, static.Styled)
    assert isinstance(after, static.Styled)
    weight = torch.randn(32, 32, 3, 3, generator=generator) * weights
    level = [
        static.Styled(
            affine=Linear(layer.affine.weight * styles, layer.affine.bias * styles),
            energy=weight.square().sum((2, 3)),
            convolve=bilinear_doubling(weight) if layer is up else Same((weight,)),
            noise=layer.noise,
            bias=layer.bias * inputs,
        )
        for layer in (up, after)
    ]
    half = halve(replace(net, styled=(net.styled[0], *level, *net.styled[3:])))
    x = torch.randn(1, 32, 4, 4, generator=generator) * inputs
    scale, shift = torch.randn(2, 1, 32, 8, 8, generator=generator) * conditions
    w = torch.randn(1, 32, generator=generator)
    doubled_up = half.styled[1]([half.store(x)], w)
    parts = static.conditioned(doubled_up, scale, shift, half.store)
    for value in (doubled_up, *parts, half.styled[2](parts, w)):
        assert value.dtype == torch.float16
        assert float(value.abs().max()) <= BOUND
    convolved = half.styled[1].convolve([torch.full((1, 32, 4, 4), BOUND).half()])  # type: ignore[attr-defined]
    assert float(convolved.abs().max()) <= MASS * BOUND
