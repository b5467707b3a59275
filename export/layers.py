"""Layers of the static-weight form: StyleGAN2's, with weights that do not depend on the latent (design §3).

A modulated convolution with style s and demodulation d equals conv(x ⊙ s, W) ⊙ d with a constant W, where d =
rsqrt(s² · ΣW² + 1e-8): one small product per layer. What remains is ordinary convolutions, which inference
engines pack, fuse and quantise. All are differentiable, so training uses them too.
"""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

LEAK = 0.2
GAIN = math.sqrt(2)
EPSILON = 1e-8


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


class Convolve(Protocol):
    """A 3×3 convolution of parts, as if concatenated."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve parts, each B×C×H×W."""


@dataclass(frozen=True)
class Same:
    """A 3×3 convolution that keeps the resolution."""

    weights: tuple[Tensor, ...]
    """The kernel, split like its input."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve the parts and add the results, so that nothing is copied to concatenate them."""
        terms = (F.conv2d(part, weight, padding=1) for part, weight in zip(parts, self.weights, strict=True))
        return total(terms)


@dataclass(frozen=True)
class Doubling:
    """A transposed 3×3 convolution of stride 2 and the blur after it.

    An even row of the result depends on two rows of the kernel, an odd row on one; likewise for columns. So
    the transposed convolution is computed as four small ones at the low resolution, whose results are
    interleaved.
    """

    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    """Kernels for even rows and even columns, even and odd, odd and even, odd and odd."""
    blur: tuple[Tensor, Tensor]
    """Row and column."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve parts as if concatenated, each B×C×H×W, to B×C′×2H×2W."""
        x = torch.cat(parts, 1)
        # One larger than H×W: even lines extend beyond both ends; odd lines get a last one of zeros, the
        # first that the blur reads beyond the end. The padding for the 1×1 kernel is added after the
        # convolution: OpenCV's DNN leaves the padding of a 1×1 convolution uninitialised.
        pads = ((1, 1, 1, 1), (0, 1, 1, 1), (1, 1, 0, 1), (0, 0, 0, 0))
        ee, eo, oe, oo = (
            F.conv2d(F.pad(x, pad), weight) for pad, weight in zip(pads, self.phases, strict=True)
        )
        oo = F.pad(oo, (0, 1, 0, 1))
        return blurred(interleaved(ee, eo, oe, oo), self.blur, pad=(1, 0))


class RgbLayer(Protocol):
    """A to_rgb, in any precision."""

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
        """Return B×3×H×W. With only three channels, scaling the weight is cheaper than scaling x."""
        weight = self.weight * self.affine(w)[:, None]
        parts = zip(x, torch.split(weight, [part.shape[1] for part in x], 2), strict=True)
        out = total(torch.bmm(k, part.flatten(2)) for part, k in parts)
        rgb = out.reshape(-1, 3, *x[0].shape[2:]) + self.bias
        return rgb if below is None else rgb + doubled(below, self.upsample)


def same(x: Any) -> Any:
    """Return the value unchanged: FP32 values are stored as they are."""
    return x


def modulated(x: list[Tensor], style: Tensor) -> list[Tensor]:
    """Scale parts as if concatenated, each B×C×H×W, by a style as wide as all of them, B×ΣC."""
    scales = torch.split(style[:, :, None, None], [part.shape[1] for part in x], 1)
    return [part * s for part, s in zip(x, scales, strict=True)]


def interleaved(ee: Tensor, eo: Tensor, oe: Tensor, oo: Tensor) -> Tensor:
    """Return B×C×2H×2W of its pixels in even rows and even columns, even and odd, odd and even, both odd."""
    _, channels, height, width = ee.shape
    rows = torch.stack((torch.stack((ee, eo), 4), torch.stack((oe, oo), 4)), 3)
    return rows.reshape(-1, channels, 2 * height, 2 * width)


def blurred(x: Tensor, kernel: tuple[Tensor, Tensor], *, pad: tuple[int, int]) -> Tensor:
    """Convolve every channel with an outer product, rows then columns; `pad` is before and after each."""
    row, column = kernel
    x = F.conv2d(F.pad(x, (*pad, 0, 0)), row, groups=len(row))
    return F.conv2d(F.pad(x, (0, 0, *pad)), column, groups=len(column))


def doubled(rgb: Tensor, kernel: Tensor | None) -> Tensor:
    """Double by zero insertion and the kernel: a transposed convolution per channel, then cropped."""
    return F.conv_transpose2d(rgb, kernel, stride=2, padding=1, groups=3)  # type: ignore[arg-type]


def total(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of tensors."""
    return functools.reduce(torch.add, terms)
