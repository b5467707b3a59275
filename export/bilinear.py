"""Bilinear resampling by two, and a 3×3 convolution after doubling with a quarter of the products.

Halving averages 2×2 pixels, and doubling weighs neighbours 3 to 1, like `interpolate` with
`align_corners=False`. Doubling inserts zeros and applies the kernel [1, 3, 3, 1] / 4 along each axis, with
the edge pixels repeated beyond the edge. Doubling and convolution are both linear, so the convolution may
come first, among the inserted zeros: each of its products then involves one of the small picture's pixels, 9
for four pixels of the result instead of 36.

The two orders differ beyond the edge: published networks pad the doubled picture with zeros before they
convolve it. So the terms that the kernel takes from the line just beyond each edge are subtracted afterwards.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from export.layers import blurred, interleaved

ROW = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
"""Weights that fill the inserted zeros along an axis."""


def doubled(x: Tensor) -> Tensor:
    """Return B×C×2H×2W."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halved(x: Tensor) -> Tensor:
    """Return B×C×H/2×W/2; H and W are even."""
    return F.avg_pool2d(x, 2)


@dataclass(frozen=True)
class Edges:
    """The lines of a kernel that touch the line just beyond an edge, each outputs×inputs×1×3 or ×3×1."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor


@dataclass(frozen=True)
class BilinearDoubling:
    """Bilinear doubling followed by a 3×3 convolution."""

    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    """Kernels for odd rows and odd columns, odd and even, even and odd, even and even."""
    edges: Edges
    blur: tuple[Tensor, Tensor]
    """Row and column."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve parts as if concatenated, each B×C×H×W, to B×C′×2H×2W."""
        x = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        around = F.pad(x, (1, 1, 1, 1), mode="replicate")
        oo, oe, eo, ee = (F.conv2d(around, weight) for weight in self.phases)
        oe, eo, ee = F.pad(oe, (0, 1)), F.pad(eo, (0, 0, 0, 1)), F.pad(ee, (0, 1, 0, 1))
        out = blurred(interleaved(oo, oe, eo, ee), self.blur, pad=(0, 0))
        # The first and last line along each axis depend on pixels beyond the edge; one extra line follows.
        left, right = _column(x[..., :1], self.edges.left), _column(x[..., -1:], self.edges.right)
        out = _corrected(out, 3, 2 * x.shape[3], left, right)
        top, bottom = _row(x[:, :, :1], self.edges.top), _row(x[:, :, -1:], self.edges.bottom)
        return _corrected(out, 2, 2 * x.shape[2], top, bottom)


def bilinear_doubling(weight: Tensor) -> BilinearDoubling:
    """Return doubling and convolution with a kernel, outputs×inputs×3×3, as one layer."""
    even, odd = [0, 2], [1]  # the kernel's lines that contribute to a line of the result
    oo, oe, eo, ee = (weight[:, :, rows][..., columns] for rows in (odd, even) for columns in (odd, even))
    edges = Edges(weight[:, :, :1], weight[:, :, 2:], weight[..., :1], weight[..., 2:])
    row = ROW.to(weight.dtype).repeat(len(weight), 1, 1, 1)
    return BilinearDoubling((oo, oe, eo, ee), edges, (row, row.transpose(2, 3)))


def _corrected(x: Tensor, axis: int, length: int, first: Tensor, last: Tensor) -> Tensor:
    """Subtract from the first and the last of `length` lines along an axis, and drop the lines after them."""
    begin, middle, end = (x.narrow(axis, at, n) for at, n in ((0, 1), (1, length - 2), (length - 1, 1)))
    return torch.cat((begin - first, middle, end - last), axis)


def _row(line: Tensor, kernel: Tensor) -> Tensor:
    """Convolve the line above or below the doubled picture, with its corners: B×C×1×W to B×C′×1×2W."""
    x = F.interpolate(line, scale_factor=(1, 2), mode="bilinear", align_corners=False)
    return F.conv2d(F.pad(x, (1, 1, 0, 0), mode="replicate"), kernel)


def _column(line: Tensor, kernel: Tensor) -> Tensor:
    """Convolve the line left or right of the doubled picture, without its corners.

    Maps B×C×H×1 to B×C′×(2H+1)×1, one extra line, as long as what it is subtracted from.
    """
    x = F.interpolate(line, scale_factor=(2, 1), mode="bilinear", align_corners=False)
    return F.conv2d(F.pad(x, (0, 0, 1, 2)), kernel)
