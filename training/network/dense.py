"""The network in the form that trains fastest on a GPU: resampling merged with convolution, styles in FP32.

The blur before a strided convolution, and the one after a transposed convolution, are convolutions with
constant kernels; so each pair is one convolution with a 6×6 kernel. That is four times the arithmetic, which
costs tensor cores hardly any time, and a third of the memory traffic, which is a GPU's bottleneck. The
function is that of `export.gpen.static`, whose parts are used where they are equally fast.
"""

from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from export import layers
from export.gpen import static
from export.gpen.network import Blur, EqualConv, Gpen
from export.layers import EPSILON, GAIN, LEAK


@dataclass(frozen=True)
class Stage:
    """An encoder stage that halves the resolution."""

    weight: Tensor
    """outputs×inputs×6×6"""
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to the stage's feature at half the resolution."""
        return F.leaky_relu(F.conv2d(x, self.weight, self.bias, stride=2, padding=2), LEAK)


@dataclass(frozen=True)
class Styled:
    """A styled convolution; concatenated parts are convolved together."""

    exact: static.Styled
    weight: Tensor
    """inputs×outputs×6×6 if it doubles, otherwise outputs×inputs×3×3."""
    doubles: bool

    def __call__(self, x: list[Tensor], w: Tensor, feature: Tensor) -> list[Tensor]:
        """Return the activated convolution and, beside it, the activated feature."""
        layer = self.exact
        with torch.autocast(w.device.type, enabled=False):
            style = layer.affine(w.float())
            demodulation = GAIN * torch.rsqrt(F.linear(style.square(), layer.energy) + EPSILON)
        x = layers.modulated([part.to(feature.dtype) for part in x], style.to(feature.dtype))
        joined = torch.cat(x, 1) if len(x) > 1 else x[0]
        if self.doubles:
            out = F.conv_transpose2d(joined, self.weight, stride=2, padding=2)
        else:
            out = F.conv2d(joined, self.weight, padding=1)
        out = torch.addcmul(layer.bias.to(out.dtype), out, demodulation.to(out.dtype)[:, :, None, None])
        beside = torch.addcmul(
            layer.feature_bias.to(feature.dtype), feature, layer.feature_gain.to(feature.dtype)
        )
        return [F.leaky_relu(out, LEAK), F.leaky_relu(beside, LEAK)]


@dataclass(frozen=True)
class Rgb:
    """A to_rgb whose picture accumulates in FP32."""

    exact: layers.Rgb
    upsample: Tensor | None
    """3×3×4×4: the doubling's kernel, channel by channel."""

    def __call__(self, x: list[Tensor], w: Tensor, below: Tensor | None) -> Tensor:
        """Return the picture, B×3×H×W; `below` is the one at half the resolution."""
        layer = self.exact
        with torch.autocast(w.device.type, enabled=False):
            weight = layer.weight * layer.affine(w.float())[:, None]
        # With channels last, the pixels of a part are the rows of a matrix without copying.
        rows = [part.permute(0, 2, 3, 1).flatten(1, 2) for part in x]
        columns = torch.split(weight.transpose(1, 2), [part.shape[1] for part in x], 1)
        mixed = layers.total(
            torch.bmm(row, column.to(row.dtype)).float() for row, column in zip(rows, columns, strict=True)
        )
        rgb: Tensor = mixed.reshape(-1, *x[0].shape[2:], 3).permute(0, 3, 1, 2) + layer.bias
        if below is None or self.upsample is None:
            return rgb
        with torch.autocast(w.device.type, enabled=False):
            return rgb + F.conv_transpose2d(below, self.upsample, stride=2, padding=1)


def fold(network: Gpen) -> static.StaticGpen:
    """Return a network's constants in this form; differentiable, like `export.gpen.static.fold`."""
    folded = static.fold(network)
    halving = network.encoder_stages[1:]
    return replace(
        folded,
        stages=(folded.stages[0], *(_stage(*stage) for stage in halving)),
        styled=tuple(
            _styled(cast(static.Styled, exact), layer.conv.weight[0] * layer.conv.scale, layer.conv)
            for exact, layer in zip(folded.styled, network.generator.styled_convs, strict=True)
        ),
        rgbs=tuple(_rgb(cast(layers.Rgb, exact)) for exact in folded.rgbs),
    )


def _stage(blur: Blur, conv: EqualConv, activation: object) -> Stage:
    bias = cast(Tensor, activation.bias)  # type: ignore[attr-defined]
    return Stage(_blurred(conv.weight * (conv.scale * GAIN), blur.kernel), bias * GAIN)


def _styled(exact: static.Styled, weight: Tensor, conv: object) -> Styled:
    blur = getattr(conv, "blur", None)
    if blur is None:
        return Styled(exact, weight, doubles=False)
    return Styled(exact, _blurred(weight.transpose(0, 1), blur.kernel), doubles=True)


def _rgb(exact: layers.Rgb) -> Rgb:
    kernel = exact.upsample
    return Rgb(
        exact, None if kernel is None else torch.eye(3, device=kernel.device)[..., None, None] * kernel
    )


def _blurred(weight: Tensor, kernel: Tensor) -> Tensor:
    """Return the kernels, A×B×3×3, convolved with the blur: A×B×6×6. The blur is symmetric."""
    flat = weight.reshape(-1, 1, *weight.shape[2:])
    return F.conv2d(flat, kernel[None, None], padding=3).reshape(*weight.shape[:2], 6, 6)
