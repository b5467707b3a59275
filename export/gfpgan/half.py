"""GFPGAN's static-weight form in half precision, within the bounds that export/half.py derives.

What GFPGAN adds to them:

- A bilinear doubling weighs pixels by positive numbers of sum 1, and a halving takes their mean: neither
  makes anything larger. A doubling with the convolution first (export/bilinear.py) has sums of products of
  at most MASS · BOUND, as each of them uses a part of the kernel; the blur after it, divided to a sum of 1,
  is a mean of them. The lines that are subtracted at the edges are sums over a line of the same kernel,
  divided by the same factors, so they are at most MASS · BOUND / 4, and what is left is the true result,
  which is no larger than that.
- Scaling and shifting (SFT) multiplies a stored activation by an FP32 condition, which may be of any size.
  It is computed in FP32, clamped and rounded like any other stored activation. Conditions themselves are
  never stored in FP16.
- Noise and bias are added in FP32, between the convolution's factor and the activation.
- A residual block adds its two branches in FP32 and stores the sum once; so does the U-Net where it adds a
  skip.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from export.bilinear import BilinearDoubling, Edges, doubled
from export.gfpgan.static import Biased, Convolution, Down, Head, Picture, Plain, StaticGfpgan, Styled, Up
from export.half import (
    MASS,
    Widened,
    divided,
    halved_blur,
    halved_convolution,
    halved_style,
    halved_weight,
    mass_of,
    own,
    stored,
)
from export.layers import GAIN, LEAK, Convolve, Linear, modulated


@dataclass(frozen=True)
class HalfPlain:
    """A 3×3 or 1×1 convolution that keeps the resolution; its result is FP32, to be stored by others."""

    weight: Tensor
    """Of mass MASS."""
    factor: Tensor
    """outputs×1×1: what the weight was divided by."""
    bias: Tensor | None
    """outputs×1×1"""

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W, the FP32 crop or FP16, to B×C′×H×W FP32."""
        out = F.conv2d(as_stored(x), self.weight, padding=self.weight.shape[2] // 2).float() * self.factor
        return out if self.bias is None else out + self.bias


@dataclass(frozen=True)
class HalfBiased:
    """A convolution that doubles the resolution; its result is FP32."""

    convolve: Convolve
    factor: Tensor
    """outputs×1×1"""
    bias: Tensor
    """outputs×1×1"""

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W FP16 to B×C′×2H×2W FP32."""
        return self.convolve([x]).float() * self.factor + self.bias


@dataclass(frozen=True)
class HalfStyled:
    """A style convolution."""

    affine: Linear
    energy: Tensor
    """outputs×inputs: ΣW² over the undivided kernel"""
    convolve: Convolve
    """Its kernels have mass MASS."""
    factor: Tensor
    """outputs: what they were divided by, and the gain"""
    noise: Tensor | None
    bias: Tensor

    def __call__(self, x: list[Tensor], w: Tensor) -> Tensor:
        """Return the activated convolution, FP16."""
        style, demodulation = halved_style(self.affine(w), self.energy, self.factor)
        out = self.convolve(modulated(x, style)).float() * demodulation[:, :, None, None] + self.bias
        return stored(F.leaky_relu(out if self.noise is None else out + self.noise, LEAK))


@dataclass(frozen=True)
class HalfPicture:
    """A to_rgb: its products are FP16; its style, which is not demodulated, is multiplied back in FP32."""

    affine: Linear
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, w: Tensor, below: Tensor | None) -> Tensor:
        """Return the picture, B×3×H×W FP32."""
        kernel, factor = halved_weight(self.weight * self.affine(w)[:, None])
        out = torch.bmm(kernel, x.flatten(2)).float()
        rgb = (out * factor).reshape(-1, 3, *x.shape[2:]) + self.bias
        return rgb if below is None else rgb + doubled(below)


def halve(net: StaticGfpgan) -> StaticGfpgan:
    """Return the same network with convolutions in half precision.

    It takes FP32 crops, conditions and latents, and gives FP32 ones.
    """
    return replace(
        net,
        entrance=_convolution(net.entrance),
        downs=tuple(
            Down(_convolution(down.first), _convolution(down.second), _convolution(down.skip), stored)
            for down in net.downs
        ),
        exit=_convolution(net.exit),
        final=Widened(own(net.final, Linear)),
        ups=tuple(
            Up(_convolution(up.first), _convolution(up.second), _convolution(up.skip), stored)
            for up in net.ups
        ),
        heads=tuple((_head(scale), _head(shift)) for scale, shift in net.heads),
        constant=stored(net.constant),
        styled=tuple(_styled(own(layer, Styled)) for layer in net.styled),
        pictures=tuple(_picture(own(layer, Picture)) for layer in net.pictures),
        store=stored,
    )


def as_stored(x: Tensor) -> Tensor:
    """Return what a convolution reads in FP16; only the crop is not stored so already."""
    return x if x.dtype == torch.float16 else stored(x)


def _convolution(layer: Convolution) -> Convolution:
    if isinstance(layer, Biased):
        convolve, factor = _halved(layer.convolve)
        return HalfBiased(convolve, factor[:, None, None], layer.bias)
    plain = own(layer, Plain)
    mass = mass_of(plain.weight)
    bias = None if plain.bias is None else plain.bias[:, None, None]
    return HalfPlain(divided(plain.weight, mass), (mass / MASS)[:, None, None], bias)


def _head(head: Head) -> Head:
    return Head(_convolution(head.first), _convolution(head.second), stored)


def _halved(convolve: Convolve) -> tuple[Convolve, Tensor]:
    """Return a convolution whose kernels have at most mass MASS, and the factor per output channel."""
    if not isinstance(convolve, BilinearDoubling):
        return halved_convolution(convolve)
    blur, gain = halved_blur(convolve.blur)
    mass = torch.stack([mass_of(phase) for phase in convolve.phases]).sum(0)  # of the whole kernel
    oo, oe, eo, ee = (divided(phase, mass) for phase in convolve.phases)
    lines = convolve.edges
    edges = (divided(line / gain, mass) for line in (lines.top, lines.bottom, lines.left, lines.right))
    return BilinearDoubling((oo, oe, eo, ee), Edges(*edges), blur), mass * (gain / MASS)


def _styled(layer: Styled) -> HalfStyled:
    convolve, factor = _halved(layer.convolve)
    return HalfStyled(layer.affine, layer.energy, convolve, factor * GAIN, layer.noise, layer.bias)


def _picture(layer: Picture) -> HalfPicture:
    return HalfPicture(layer.affine, layer.weight, layer.bias)
