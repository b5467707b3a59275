"""The static-weight form: GFPGAN's function with weights that do not depend on the latent (export/layers.py).

`fold` turns the parameters of a published `Gfpgan` into the constants of this form; `encode` and `generate`
compute with them. GFPGAN has no mapping network: z is w. Three changes save computation without changing the
result: 1×1 convolutions are applied before a doubling instead of after it, 3×3 convolutions likewise
(export/bilinear.py), and the noise of the stored buffers is a constant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.bilinear import bilinear_doubling, doubled, halved
from export.gfpgan.layout import GfpganLayout
from export.gfpgan.network import Gfpgan, ResBlock, StyleConv, ToRGB, styles_of
from export.layers import EPSILON, GAIN, LEAK, Convolve, Linear, Same, modulated, same

Convolution: TypeAlias = Callable[[Tensor], Tensor]
"""A convolution with its bias, in any precision: B×C×H×W → B×C′×H′×W′."""
Store: TypeAlias = Callable[[Tensor], Tensor]
"""Converts a value to the form in which it is stored for the next kernel."""


@dataclass(frozen=True)
class Biased:
    """A convolution with its bias."""

    convolve: Convolve
    bias: Tensor
    """outputs×1×1"""

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C′×H′×W′."""
        return self.convolve([x]) + self.bias


@dataclass(frozen=True)
class Plain:
    """A 3×3 or 1×1 convolution that keeps the resolution, with its bias."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C′×H×W."""
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[2] // 2)


@dataclass(frozen=True)
class Down:
    """A residual block that halves the resolution."""

    first: Convolution
    second: Convolution
    skip: Convolution
    store: Store

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C′×H/2×W/2."""
        out = self.store(F.leaky_relu(self.first(x), LEAK))
        out = F.leaky_relu(self.second(halved(out)), LEAK)
        return self.store(out + self.skip(halved(x)))


@dataclass(frozen=True)
class Up:
    """A residual block that doubles the resolution."""

    first: Convolution
    second: Convolution
    """Doubles as well."""
    skip: Convolution
    store: Store

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C′×2H×2W."""
        out = self.store(F.leaky_relu(self.first(x), LEAK))
        out = F.leaky_relu(self.second(out), LEAK)
        return self.store(out + doubled(self.skip(x)))


@dataclass(frozen=True)
class Head:
    """Two convolutions that make a condition."""

    first: Convolution
    second: Convolution
    store: Store

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C′×H×W, FP32."""
        return self.second(self.store(F.leaky_relu(self.first(x), LEAK)))


class StyledLayer(Protocol):
    """A style convolution, in any precision."""

    def __call__(self, x: list[Tensor], w: Tensor) -> Tensor:
        """Map the parts of the input to the activated convolution, B×C×H×W."""


@dataclass(frozen=True)
class Styled:
    """A style convolution: modulated, with noise, bias and activation."""

    affine: Linear
    """w → s"""
    energy: Tensor
    """outputs×inputs: ΣW² over the kernel"""
    convolve: Convolve
    noise: Tensor | None
    """1×H×W; None where there is none."""
    bias: Tensor
    """outputs×1×1"""

    def __call__(self, x: list[Tensor], w: Tensor) -> Tensor:
        """Return the activated convolution."""
        style = self.affine(w)
        demodulation = GAIN * torch.rsqrt(F.linear(style.square(), self.energy) + EPSILON)
        out = self.convolve(modulated(x, style)) * demodulation[:, :, None, None] + self.bias
        return F.leaky_relu(out if self.noise is None else out + self.noise, LEAK)


class PictureLayer(Protocol):
    """A to_rgb, in any precision."""

    def __call__(self, x: Tensor, w: Tensor, below: Tensor | None) -> Tensor:
        """Return the picture, B×3×H×W; `below` is the one at half the resolution."""


@dataclass(frozen=True)
class Picture:
    """A to_rgb: modulated, not demodulated."""

    affine: Linear
    weight: Tensor
    """3×inputs"""
    bias: Tensor

    def __call__(self, x: Tensor, w: Tensor, below: Tensor | None) -> Tensor:
        """Return B×3×H×W: three channels are so few that scaling the weight is cheaper than scaling x."""
        weight = self.weight * self.affine(w)[:, None]
        rgb = torch.bmm(weight, x.flatten(2)).reshape(-1, 3, *x.shape[2:]) + self.bias
        return rgb if below is None else rgb + doubled(below)


@dataclass(frozen=True)
class StaticGfpgan:
    """The constants of the static-weight form."""

    layout: GfpganLayout
    entrance: Convolution
    downs: tuple[Down, ...]
    """From S×S down to 4×4."""
    exit: Convolution
    final: Callable[[Tensor], Tensor]
    """Flattened 4×4 feature → z."""
    ups: tuple[Up, ...]
    """From 4×4 up to S×S."""
    heads: tuple[tuple[Head, Head], ...]
    """Scale and shift of 8×8, of 16×16, …"""
    constant: Tensor
    styled: tuple[StyledLayer, ...]
    """One at 4×4, then two at each resolution, the first doubling."""
    pictures: tuple[PictureLayer, ...]
    store: Store


def encode(net: StaticGfpgan, crop: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return z, B×(styles · style_dim), and the conditions of a crop, B×3×S×S in [−1, 1]."""
    x = net.store(F.leaky_relu(net.entrance(crop), LEAK))
    skips: list[Tensor] = []
    for down in net.downs:
        x = down(x)
        skips.insert(0, x)
    x = net.store(F.leaky_relu(net.exit(x), LEAK))
    z = net.final(x.flatten(1))
    conditions: list[Tensor] = []
    for up, skip, heads in zip(net.ups, skips, net.heads, strict=True):
        x = up(net.store(x + skip))
        conditions += [head(x) for head in heads]
    return z, conditions


def map_latent(net: StaticGfpgan, z: Tensor) -> Tensor:
    """Return w, which is z: the encoder makes style vectors itself."""
    return torch.nn.Identity()(z)  # type: ignore[no-any-return]


def generate(net: StaticGfpgan, w: Tensor, conditions: list[Tensor]) -> Tensor:
    """Return the restored crop, B×3×S×S, of a latent w and the encoder's conditions."""
    ws = styles_of(w, net.layout)
    x = net.styled[0]([net.constant], ws[0])
    picture = net.pictures[0](x, ws[1], None)
    for i, to_rgb in enumerate(net.pictures[1:]):
        x = net.styled[2 * i + 1]([x], ws[2 * i + 1])
        parts = conditioned(x, conditions[2 * i], conditions[2 * i + 1], net.store)
        x = net.styled[2 * i + 2](parts, ws[2 * i + 2])
        picture = to_rgb(x, ws[2 * i + 3], picture)
    return picture


def conditioned(x: Tensor, scale: Tensor, shift: Tensor, store: Store) -> list[Tensor]:
    """Return the unconditioned channels, if there are any, and the scaled and shifted ones, as separate
    parts.

    The published network concatenates them; here they stay separate, so that nothing is copied.
    """
    stay = x.shape[1] - scale.shape[1]
    changed = store(x[:, stay:] * scale + shift)
    return [x[:, :stay], changed] if stay else [changed]


def fold(network: Gfpgan) -> StaticGfpgan:
    """Return the constants of a network's static-weight form."""
    decoder, layout = network.stylegan_decoder, network.layout
    heads = zip(network.condition_scale, network.condition_shift, strict=True)
    return StaticGfpgan(
        layout=layout,
        entrance=_plain(network.conv_body_first),
        downs=tuple(_down(cast(ResBlock, block)) for block in network.conv_body_down),
        exit=_plain(network.final_conv),
        final=Linear(network.final_linear.weight, network.final_linear.bias),
        ups=tuple(_up(cast(ResBlock, block)) for block in network.conv_body_up),
        heads=tuple((_head(scale), _head(shift)) for scale, shift in heads),
        constant=decoder.constant_input.weight,
        styled=tuple(_styled(layer, decoder.noise(i), layout) for i, layer in enumerate(decoder.convs)),
        pictures=tuple(_picture(layer) for layer in decoder.rgbs),
        store=same,
    )


def _plain(module: nn.Module) -> Plain:
    conv = cast(nn.Conv2d, module)
    return Plain(conv.weight, conv.bias)


def _down(block: ResBlock) -> Down:
    return Down(_plain(block.conv1), _plain(block.conv2), _plain(block.skip), same)


def _up(block: ResBlock) -> Up:
    second = Biased(bilinear_doubling(block.conv2.weight), cast(Tensor, block.conv2.bias)[:, None, None])
    return Up(_plain(block.conv1), second, _plain(block.skip), same)


def _head(module: nn.Module) -> Head:
    first, _, second = cast(nn.Sequential, module)
    return Head(_plain(first), _plain(second), same)


def _styled(layer: StyleConv, noise: Tensor, layout: GfpganLayout) -> Styled:
    conv = layer.modulated_conv
    weight = conv.weight[0]
    return Styled(
        affine=Linear(conv.modulation.weight, conv.modulation.bias),
        energy=weight.square().sum((2, 3)),
        convolve=bilinear_doubling(weight) if layer.doubles else Same(_split(weight, noise.shape[2], layout)),
        noise=(layer.weight * noise)[0] if (layer.weight * noise).any() else None,
        bias=layer.bias[0],
    )


def _split(weight: Tensor, resolution: int, layout: GfpganLayout) -> tuple[Tensor, ...]:
    """Split a kernel like its input: into unconditioned and conditioned channels."""
    changed = layout.condition_channels(resolution) if resolution > 4 else weight.shape[1]
    stay = weight.shape[1] - changed
    return (weight[:, :stay], weight[:, stay:]) if stay else (weight,)


def _picture(layer: ToRGB) -> Picture:
    conv = layer.modulated_conv
    return Picture(
        Linear(conv.modulation.weight, conv.modulation.bias), conv.weight[0, :, :, 0, 0], layer.bias[0]
    )
