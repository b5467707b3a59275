"""GPEN's static-weight form in half precision, within the bounds that export/half.py derives."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from export.gpen.static import Stage, StaticGpen, Styled
from export.half import (
    MASS,
    Widened,
    divided,
    halved_blur,
    halved_convolution,
    halved_rgb,
    halved_style,
    mass_of,
    own,
    stored,
)
from export.layers import GAIN, LEAK, Convolve, Linear, Rgb, blurred, modulated


@dataclass(frozen=True)
class HalfStage:
    """An encoder stage."""

    blur: tuple[Tensor, Tensor] | None
    weight: Tensor
    """Of mass MASS."""
    factor: Tensor
    """outputs×1×1: what the weight and the blur were divided by."""
    bias: Tensor
    """outputs×1×1"""

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W, the FP32 crop or an FP16 feature, to an FP16 feature."""
        if x.dtype != torch.float16:
            x = stored(x)
        if self.blur:
            x = blurred(x, self.blur, pad=(2, 2))
        out = F.conv2d(x, self.weight, stride=2 if self.blur else 1)
        return stored(F.leaky_relu(out.float() * self.factor + self.bias, LEAK))


@dataclass(frozen=True)
class HalfStyled:
    """A styled convolution, and the processing of the feature beside it."""

    affine: Linear
    energy: Tensor
    """outputs×inputs: ΣW² over the undivided kernel"""
    convolve: Convolve
    """Its kernels have mass MASS."""
    factor: Tensor
    """outputs: what they were divided by, times the activation's gain"""
    bias: Tensor
    feature_gain: Tensor
    feature_bias: Tensor

    def __call__(self, x: list[Tensor], w: Tensor, feature: Tensor) -> list[Tensor]:
        """Return the activated convolution and, beside it, the activated feature, both FP16."""
        style, demodulation = halved_style(self.affine(w), self.energy, self.factor)
        out = self.convolve(modulated(x, style))
        return [
            stored(F.leaky_relu(out.float() * demodulation[:, :, None, None] + self.bias, LEAK)),
            stored(F.leaky_relu(feature.float() * self.feature_gain + self.feature_bias, LEAK)),
        ]


def halve(net: StaticGpen) -> StaticGpen:
    """Return the same network with convolutions in half precision.

    It takes FP32 crops, features and latents, and returns FP32 latents and pictures; the features that it
    returns are FP16.
    """
    return replace(
        net,
        stages=tuple(_stage(own(stage, Stage)) for stage in net.stages),
        final=Widened(own(net.final, Linear)),
        constant=stored(net.constant),
        styled=tuple(halved_layer(own(layer, Styled)) for layer in net.styled),
        rgbs=tuple(halved_rgb(own(layer, Rgb)) for layer in net.rgbs),
    )


def _stage(stage: Stage) -> HalfStage:
    mass = mass_of(stage.weight)
    blur, gain = halved_blur(stage.blur) if stage.blur else (None, 1.0)
    return HalfStage(
        blur, divided(stage.weight, mass), (mass * (gain / MASS))[:, None, None], stage.bias[:, None, None]
    )


def halved_layer(layer: Styled) -> HalfStyled:
    """Return a styled convolution in half precision."""
    convolve, factor = halved_convolution(layer.convolve)
    return HalfStyled(
        affine=layer.affine,
        energy=layer.energy,
        convolve=convolve,
        factor=factor * GAIN,
        bias=layer.bias,
        feature_gain=layer.feature_gain,
        feature_bias=layer.feature_bias,
    )
