"""The static-weight form: GPEN's function with weights that do not depend on the latent (export/layers.py).

`fold` turns the parameters of a published `Gpen` into the constants of this form; `encode`, `map_latent` and
`generate` compute with them. All are differentiable, so training uses them too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.gpen.network import (
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
from export.layers import (
    EPSILON,
    GAIN,
    LEAK,
    Convolve,
    Doubling,
    Linear,
    Rgb,
    RgbLayer,
    Same,
    blurred,
    modulated,
)


class EncoderStage(Protocol):
    """An encoder stage, in any precision."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W, the first stage B×3×S×S, to the stage's feature."""


@dataclass(frozen=True)
class Stage:
    """An encoder stage: blur (except in the first), convolution, activation."""

    blur: tuple[Tensor, Tensor] | None
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to the stage's feature, at half the resolution if there is a blur."""
        if self.blur:
            x = blurred(x, self.blur, pad=(2, 2))
        return F.leaky_relu(F.conv2d(x, self.weight, self.bias, stride=2 if self.blur else 1), LEAK)


class StyledLayer(Protocol):
    """A styled convolution and the feature beside it, in any precision."""

    def __call__(self, x: list[Tensor], w: Tensor, feature: Tensor) -> list[Tensor]:
        """Return the activated convolution and the activated feature separately.

        The published network concatenates the two.
        """


@dataclass(frozen=True)
class Styled:
    """A styled convolution, and the processing of the feature beside it."""

    affine: Linear
    """w → s"""
    energy: Tensor
    """outputs×inputs: ΣW² over the kernel"""
    convolve: Convolve
    bias: Tensor
    feature_gain: Tensor
    feature_bias: Tensor

    def __call__(self, x: list[Tensor], w: Tensor, feature: Tensor) -> list[Tensor]:
        """Return the activated convolution and the activated feature separately."""
        style = self.affine(w)
        # The activation's gain √2 is positive, so it can be merged into factors that exist anyway.
        demodulation = GAIN * torch.rsqrt(F.linear(style.square(), self.energy) + EPSILON)
        out = self.convolve(modulated(x, style))
        return [
            F.leaky_relu(out * demodulation[:, :, None, None] + self.bias, LEAK),
            F.leaky_relu(feature * self.feature_gain + self.feature_bias, LEAK),
        ]


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
    """Return the restored crop, B×3×S×S, for a latent w and the encoder's features."""
    return pictures(net, w, features)[-1]


def pictures(net: StaticGpen, w: Tensor, features: list[Tensor]) -> list[Tensor]:
    """Return the picture, B×3×r×r, at each resolution r for which a feature is given, from 4 on."""
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


def fold(network: Gpen) -> StaticGpen:
    """Return the constants of a network's static-weight form."""
    generator = network.generator
    first, *others = generator.styled_convs
    return StaticGpen(
        stages=tuple(fold_stage(*stage) for stage in network.encoder_stages),
        final=_fold_activated(network.final_linear[0]),
        mapping=tuple(_fold_activated(layer) for layer in list(generator.style)[1:]),
        constant=generator.input.input,
        # The first takes the constant alone, the others a convolution and a feature of the same width.
        styled=(_fold_styled(first, parts=1), *(_fold_styled(layer, parts=2) for layer in others)),
        rgbs=tuple(_fold_rgb(layer) for layer in generator.rgbs),
    )


def _fold_linear(layer: EqualLinear) -> Linear:
    return Linear(layer.weight * layer.scale, layer.bias * layer.lr_mul)


def _fold_activated(layer: nn.Module) -> Linear:
    linear = _fold_linear(cast(ActivatedLinear, layer))
    return Linear(linear.weight * GAIN, linear.bias * GAIN)


def fold_stage(*modules: nn.Module) -> Stage:
    """Return the constants of an encoder stage: blur (except in the first), convolution, activation."""
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
    # The kernel's lines that contribute to an even line of the result, and those to an odd one.
    even, odd = weight[:, :, ::2].flip(2), weight[:, :, 1:2]
    ee, eo, oe, oo = (part for rows in (even, odd) for part in (rows[..., ::2].flip(3), rows[..., 1:2]))
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
    """Split the kernel into a row and a column of equal sums, each once per channel."""
    root = kernel.sum().sqrt()
    row, column = kernel.sum(0) / root, kernel.sum(1) / root
    return row.repeat(channels, 1, 1, 1), column[:, None].repeat(channels, 1, 1, 1)
