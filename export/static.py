"""The static-weight form: GPEN's function with weights that do not depend on the latent (design §3).

A modulated convolution with style s and demodulation d equals conv(x ⊙ s, W) ⊙ d with a constant W, where
d = rsqrt(s² · ΣW² + 1e-8): one small product per layer. What is left is ordinary convolutions, which
inference engines pack, fuse and quantise.

`fold` turns the parameters of a published `Gpen` into the constants of this form; `encode`, `map_latent` and
`generate` compute with them. All are differentiable, so training uses them too.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.network import (
    EPSILON,
    GAIN,
    LEAK,
    ActivatedLinear,
    Bias,
    Blur,
    EqualConv,
    EqualLinear,
    Gpen,
    StyledConv,
    ToRGB,
    normalise,
)


@dataclass(frozen=True)
class Linear:
    """A linear layer."""

    weight: Tensor
    """outputs×inputs"""
    bias: Tensor
    """outputs"""

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×inputs to B×outputs."""
        return F.linear(x, self.weight, self.bias)


class EncoderStage(Protocol):
    """An encoder stage, in whatever arithmetic."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W, the first stage B×3×S×S, to the stage's feature."""


@dataclass(frozen=True)
class Stage:
    """An encoder stage: blur (all but the first), convolution, activation."""

    blur: tuple[Tensor, Tensor] | None
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to the stage's feature, at half the resolution where there is a blur."""
        if self.blur:
            x = blurred(x, self.blur, pad=(2, 2))
        return F.leaky_relu(F.conv2d(x, self.weight, self.bias, stride=2 if self.blur else 1), LEAK)


class Convolve(Protocol):
    """A 3×3 convolution of parts that lie side by side."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve parts, each B×C×H×W."""


@dataclass(frozen=True)
class Same:
    """A 3×3 convolution that keeps the resolution."""

    weights: tuple[Tensor, ...]
    """The kernel, split as its input is."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve: over parts that lie side by side this is a sum, so nothing is copied to join them."""
        terms = (F.conv2d(part, weight, padding=1) for part, weight in zip(parts, self.weights, strict=True))
        return total(terms)


@dataclass(frozen=True)
class Doubling:
    """A transposed 3×3 convolution of stride 2 and the blur after it.

    An even row of the result sees two rows of the kernel, an odd row one, and columns likewise. So the
    transposed convolution is four small ones at the low resolution, whose results are interleaved.
    """

    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    """Kernels for even rows and even columns, even and odd, odd and even, odd and odd."""
    blur: tuple[Tensor, Tensor]
    """Row and column."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve parts that lie side by side, each B×C×H×W, to B×C′×2H×2W."""
        x = torch.cat(parts, 1)
        # One more than H×W: even lines reach beyond both ends, odd lines get a last one of zeros, which is
        # the first that the blur sees beyond the end. The 1×1 kernel's are added after it: OpenCV's DNN
        # leaves the padding of a 1×1 convolution unwritten.
        pads = ((1, 1, 1, 1), (0, 1, 1, 1), (1, 1, 0, 1), (0, 0, 0, 0))
        ee, eo, oe, oo = (
            F.conv2d(F.pad(x, pad), weight) for pad, weight in zip(pads, self.phases, strict=True)
        )
        oo = F.pad(oo, (0, 1, 0, 1))
        _, channels, height, width = ee.shape
        rows = torch.stack((torch.stack((ee, eo), 4), torch.stack((oe, oo), 4)), 3)
        return blurred(rows.reshape(-1, channels, 2 * height, 2 * width), self.blur, pad=(1, 0))


class StyledLayer(Protocol):
    """A styled convolution and the feature beside it, in whatever arithmetic."""

    def __call__(self, x: list[Tensor], w: Tensor, feature: Tensor) -> list[Tensor]:
        """Return the activated convolution and, beside it, the activated feature.

        The published network concatenates the two; here they stay apart.
        """


@dataclass(frozen=True)
class Styled:
    """A styled convolution and what is done to the feature beside it."""

    affine: Linear
    """w → s"""
    energy: Tensor
    """outputs×inputs: ΣW² over the kernel"""
    convolve: Convolve
    bias: Tensor
    feature_gain: Tensor
    feature_bias: Tensor

    def __call__(self, x: list[Tensor], w: Tensor, feature: Tensor) -> list[Tensor]:
        """Return the activated convolution and, beside it, the activated feature."""
        style = self.affine(w)
        # The activation's gain √2 is positive: it moves inside, into factors that are there anyway.
        demodulation = GAIN * torch.rsqrt(F.linear(style.square(), self.energy) + EPSILON)
        out = self.convolve(modulated(x, style))
        return [
            F.leaky_relu(out * demodulation[:, :, None, None] + self.bias, LEAK),
            F.leaky_relu(feature * self.feature_gain + self.feature_bias, LEAK),
        ]


class RgbLayer(Protocol):
    """A to_rgb, in whatever arithmetic."""

    def __call__(self, x: list[Tensor], w: Tensor, below: Tensor | None) -> Tensor:
        """Return the picture, B×3×H×W; `below` is the one at half the resolution."""


@dataclass(frozen=True)
class Rgb:
    """A to_rgb: modulated, not demodulated."""

    affine: Linear
    weight: Tensor
    """3×inputs"""
    bias: Tensor
    upsample: Tensor | None
    """Kernel that doubles the picture from below."""

    def __call__(self, x: list[Tensor], w: Tensor, below: Tensor | None) -> Tensor:
        """Return B×3×H×W: three channels are so few that scaling the weight is cheaper than scaling x."""
        weight = self.weight * self.affine(w)[:, None]
        parts = zip(x, torch.split(weight, [part.shape[1] for part in x], 2), strict=True)
        out = total(torch.bmm(k, part.flatten(2)) for part, k in parts)
        rgb = out.reshape(-1, 3, *x[0].shape[2:]) + self.bias
        return rgb if below is None else rgb + doubled(below, self.upsample)


@dataclass(frozen=True)
class StaticGpen:
    """The constants of the static-weight form."""

    stages: tuple[EncoderStage, ...]
    """From S×S down to 4×4."""
    final: Callable[[Tensor], Tensor]
    """Flattened 4×4 feature → z, without the activation."""
    mapping: tuple[Linear, ...]
    constant: Tensor
    styled: tuple[StyledLayer, ...]
    """One at 4×4, then two at each resolution."""
    rgbs: tuple[RgbLayer, ...]


def encode(net: StaticGpen, crop: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return z, B×style_dim, and the features from 4×4 up to S×S of a crop, B×3×S×S in [−1, 1]."""
    features: list[Tensor] = []
    x = crop
    for stage in net.stages:
        x = stage(x)
        features.insert(0, x)
    return F.leaky_relu(net.final(x.flatten(1)), LEAK), features


def map_latent(net: StaticGpen, z: Tensor) -> Tensor:
    """Map z to w, B×style_dim both."""
    w = normalise(z)
    for layer in net.mapping:
        w = F.leaky_relu(layer(w), LEAK)
    return w


def generate(net: StaticGpen, w: Tensor, features: list[Tensor]) -> Tensor:
    """Return the restored crop, B×3×S×S, of a latent w and the encoder's features."""
    return pictures(net, w, features)[-1]


def pictures(net: StaticGpen, w: Tensor, features: list[Tensor]) -> list[Tensor]:
    """Return the picture, B×3×r×r, at each resolution r that there is a feature of, from 4 on."""
    x = net.styled[0]([net.constant], w, features[0])
    rgbs = [net.rgbs[0](x, w, None)]
    for i, feature in enumerate(features[1:], start=1):
        for layer in net.styled[2 * i - 1 : 2 * i + 1]:
            x = layer(x, w, feature)
        rgbs.append(net.rgbs[i](x, w, rgbs[-1]))
    return rgbs


def restore(net: StaticGpen, crop: Tensor) -> Tensor:
    """Restore a crop, B×3×S×S in [−1, 1], in the published single pass."""
    z, features = encode(net, crop)
    return generate(net, map_latent(net, z), features)


def modulated(x: list[Tensor], style: Tensor) -> list[Tensor]:
    """Scale parts that lie side by side, each B×C×H×W, by a style as wide as all of them, B×ΣC."""
    scales = torch.split(style[:, :, None, None], [part.shape[1] for part in x], 1)
    return [part * s for part, s in zip(x, scales, strict=True)]


def blurred(x: Tensor, kernel: tuple[Tensor, Tensor], *, pad: tuple[int, int]) -> Tensor:
    """Convolve every channel with an outer product, as rows, then columns; `pad` is before and after each."""
    row, column = kernel
    x = F.conv2d(F.pad(x, (*pad, 0, 0)), row, groups=len(row))
    return F.conv2d(F.pad(x, (0, 0, *pad)), column, groups=len(column))


def doubled(rgb: Tensor, kernel: Tensor | None) -> Tensor:
    """Double by zero insertion and the kernel: a transposed convolution per channel, its border cropped."""
    return F.conv_transpose2d(rgb, kernel, stride=2, padding=1, groups=3)  # type: ignore[arg-type]


def total(terms: Iterable[Tensor]) -> Tensor:
    """Add tensors up."""
    return functools.reduce(torch.add, terms)


def fold(network: Gpen) -> StaticGpen:
    """Return the constants of a network's static-weight form."""
    generator = network.generator
    first, *others = generator.styled_convs
    return StaticGpen(
        stages=tuple(fold_stage(*stage) for stage in network.encoder_stages),
        final=_fold_activated(network.final_linear[0]),
        mapping=tuple(_fold_activated(layer) for layer in list(generator.style)[1:]),
        constant=generator.input.input,
        # The first takes the constant alone, the others a convolution and, beside it, a feature as wide.
        styled=(_fold_styled(first, parts=1), *(_fold_styled(layer, parts=2) for layer in others)),
        rgbs=tuple(_fold_rgb(layer) for layer in generator.rgbs),
    )


def _fold_linear(layer: EqualLinear) -> Linear:
    return Linear(layer.weight * layer.scale, layer.bias * layer.lr_mul)


def _fold_activated(layer: nn.Module) -> Linear:
    linear = _fold_linear(cast(ActivatedLinear, layer))
    return Linear(linear.weight * GAIN, linear.bias * GAIN)


def fold_stage(*modules: nn.Module) -> Stage:
    """Return the constants of an encoder stage: blur (of all but the first), convolution, activation."""
    *before, last, activation = modules
    conv, bias = cast(EqualConv, last), cast(Bias, activation).bias
    blurs = [_fold_blur(cast(Blur, blur).kernel, conv.weight.shape[1]) for blur in before]
    return Stage(blurs[0] if blurs else None, conv.weight * (conv.scale * GAIN), bias * GAIN)


def _fold_styled(layer: StyledConv, *, parts: int) -> Styled:
    conv = layer.conv
    weight = conv.weight[0] * conv.scale
    bias, feature_bias = (layer.activate.bias * GAIN)[:, None, None].chunk(2)
    return Styled(
        affine=_fold_linear(conv.modulation),
        energy=weight.square().sum((2, 3)),
        convolve=_fold_doubling(weight, conv.blur) if conv.upsample else Same(weight.chunk(parts, 1)),
        bias=bias,
        feature_gain=layer.noise.weight * GAIN,
        feature_bias=feature_bias,
    )


def _fold_doubling(weight: Tensor, blur: Blur) -> Doubling:
    even, odd = [2, 0], [1]  # the kernel's lines that meet in a line of the result
    ee, eo, oe, oo = (weight[:, :, rows][..., columns] for rows in (even, odd) for columns in (even, odd))
    return Doubling((ee, eo, oe, oo), _fold_blur(blur.kernel, len(weight)))


def _fold_rgb(layer: ToRGB) -> Rgb:
    conv = layer.conv
    upsample = getattr(layer, "upsample", None)
    return Rgb(
        affine=_fold_linear(conv.modulation),
        weight=conv.weight[0, :, :, 0, 0] * conv.scale,
        bias=layer.bias,
        upsample=upsample.kernel.repeat(3, 1, 1, 1) if upsample else None,
    )


def _fold_blur(kernel: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Return the row and the column, of equal sums, whose outer product the kernel is, once per channel."""
    root = kernel.sum().sqrt()
    row, column = kernel.sum(0) / root, kernel.sum(1) / root
    return row.repeat(channels, 1, 1, 1), column[:, None].repeat(channels, 1, 1, 1)
