"""The static-weight form in half precision, such that no value can overflow, whatever the latent (design §3).

FP16 ends at 65504. Values stored between two kernels, and the sums within a convolution, stay below it:

- Every stored activation is clamped to ±BOUND, in FP32, before it is rounded. The clamp is for hostile input:
  activations of trained networks are around 1 and seldom above 10. If it changes anything, the exporter
  reports it.
- Styles are divided by σ = max|s| of the sample, so modulation never enlarges an activation.
- Each output channel of a kernel is divided by its Σ|W|, times MASS. Hence a sum over the kernel, and any
  part of it in any order, is at most MASS · BOUND = 64 000, even if an engine accumulates in FP16. (Divided
  by its own maximum, up to 9 · 1024 terms of that size could add up.)
- Blurs sum to 1 along rows and along columns, so they never exceed their input.
- The divisors are multiplied back as one factor per sample and output channel. It can have any size, so it is
  computed and applied in FP32, like bias and activation: an engine does all this in the kernel that reads the
  convolution's result and writes the activation.

Underflow does no harm either: with Σ|W| = MASS a kernel of 9 · 1024 equal values has 0.007 in each, a hundred
times the smallest normal number, and values below 6e-8 are negligible beside terms near 1.

Mapping, final linear layer, style affines, demodulation, the accumulation of the picture, and the inputs and
outputs of the graphs are FP32.
"""

from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from export.layers import EPSILON, Convolve, Doubling, Linear, Rgb, Same, doubled, total

BOUND = 1000.0
"""Largest magnitude of a stored activation."""
MASS = 64.0
"""Σ|W| of each output channel."""
TINY = 1e-12
"""Smallest divisor, for styles and kernels that are zero."""


@dataclass(frozen=True)
class Widened:
    """A linear layer that computes in FP32 with FP16 input."""

    linear: Linear

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×inputs to B×outputs."""
        return self.linear(x.float())


@dataclass(frozen=True)
class HalfRgb:
    """A to_rgb: its products are FP16; its style, which is not demodulated, is multiplied back in FP32."""

    affine: Linear
    weight: Tensor
    bias: Tensor
    upsample: Tensor | None

    def __call__(self, x: list[Tensor], w: Tensor, below: Tensor | None) -> Tensor:
        """Return the picture, B×3×H×W FP32."""
        kernel, factor = halved_weight(self.weight * self.affine(w)[:, None])
        parts = zip(x, torch.split(kernel, [part.shape[1] for part in x], 2), strict=True)
        out = total(torch.bmm(k, part.flatten(2)).float() for part, k in parts)
        rgb = (out * factor).reshape(-1, 3, *x[0].shape[2:]) + self.bias
        return rgb if below is None else rgb + doubled(below, self.upsample)


def stored(x: Tensor) -> Tensor:
    """Return FP32 values as stored between two kernels: clamped, then rounded to FP16."""
    return x.clamp(-BOUND, BOUND).half()


Part = TypeVar("Part")


def own(part: object, kind: type[Part]) -> Part:
    """Return a part if it has the kind that can be halved. Raises TypeError otherwise."""
    if not isinstance(part, kind):
        raise TypeError(
            f"the form that is halved has a {type(part).__name__} where a {kind.__name__} belongs"
        )
    return part


def halved_rgb(layer: Rgb) -> HalfRgb:
    """Return a to_rgb in half precision."""
    return HalfRgb(layer.affine, layer.weight, layer.bias, layer.upsample)


def halved_convolution(convolve: Convolve) -> tuple[Convolve, Tensor]:
    """Return a convolution whose kernels have mass MASS at most, and the factor per output channel."""
    if isinstance(convolve, Doubling):
        blur, gain = halved_blur(convolve.blur)
        mass = torch.stack([mass_of(phase) for phase in convolve.phases]).amax(0)
        ee, eo, oe, oo = (divided(phase, mass) for phase in convolve.phases)
        return Doubling((ee, eo, oe, oo), blur), mass * (gain / MASS)
    weights = own(convolve, Same).weights
    mass = total(mass_of(weight) for weight in weights)
    return Same(tuple(divided(weight, mass) for weight in weights)), mass / MASS


def halved_style(style: Tensor, energy: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Return a style in FP16, divided by its largest magnitude, and the demodulation times a factor.

    style   B×inputs
    energy  outputs×inputs: ΣW² over the undivided kernel
    factor  outputs
    """
    sigma = style.abs().amax(1, keepdim=True).clamp_min(TINY)
    style = style / sigma
    # d·σ = rsqrt(Σ(W s/σ)² + 1e-8/σ²)
    root = torch.rsqrt(F.linear(style.square(), energy) + (EPSILON**0.5 / sigma).square())
    return style.half(), factor * root


def halved_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return a to_rgb's weight in FP16, of mass MASS, and the factor that gives it back, B×3×1.

    weight  B×3×inputs, with each sample's style in it
    """
    mass = weight.abs().sum(2, keepdim=True).clamp_min(TINY)
    return (weight * (MASS / mass)).half(), mass / MASS


def mass_of(weight: Tensor) -> Tensor:
    """Return Σ|W| of each output channel."""
    return weight.abs().sum((1, 2, 3))


def divided(weight: Tensor, mass: Tensor) -> Tensor:
    """Return a kernel in FP16, each of its output channels divided by its mass and multiplied by MASS."""
    return (weight * (MASS / mass.clamp_min(TINY))[:, None, None, None]).half()


def halved_blur(blur: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], float]:
    """Return the row and the column normalised to a sum of 1 each, and the factor this removed."""
    row, column = blur
    sums = float(row[0].sum()), float(column[0].sum())
    return ((row / sums[0]).half(), (column / sums[1]).half()), sums[0] * sums[1]
