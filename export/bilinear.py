"""Bilinear resampling by two, and a 3×3 convolution after a doubling with a quarter of its products.

Halving takes the mean of 2×2 pixels, and doubling weighs neighbours 3 to 1, as `interpolate` does with
`align_corners=False`. A doubling is an insertion of zeros and the kernel [1, 3, 3, 1] / 4 along each axis,
in a picture that goes on beyond its edge with the edge's own pixels. Both it and the convolution are
linear, so the convolution may come first, among the zeros: there each of its products is with one of the
small picture's pixels, 9 for four pixels of the result in place of 36.

What the two orders do beyond the edge differs: published networks pad the doubled picture with zeros before
they convolve it. So the terms that the kernel takes from the line just beyond each edge are subtracted
again.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from export.layers import blurred

ROW = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
"""How zeros are filled along an axis."""


def doubled(x: Tensor) -> Tensor:
    """Return B×C×2H×2W."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halved(x: Tensor) -> Tensor:
    """Return B×C×H/2×W/2; H and W are even."""
    return F.avg_pool2d(x, 2)


@dataclass(frozen=True)
class Edges:
    """The lines of a kernel that meet the line just beyond an edge, each outputs×inputs×1×3 or ×3×1."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor


@dataclass(frozen=True)
class BilinearDoubling:
    """A bilinear doubling and the 3×3 convolution after it."""

    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    """Kernels for odd rows and odd columns, odd and even, even and odd, even and even."""
    edges: Edges
    blur: tuple[Tensor, Tensor]
    """Row and column."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve parts that lie side by side, each B×C×H×W, to B×C′×2H×2W."""
        x = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        around = F.pad(x, (1, 1, 1, 1), mode="replicate")
        oo, oe, eo, ee = (F.conv2d(around, weight) for weight in self.phases)
        oe, eo, ee = F.pad(oe, (0, 1)), F.pad(eo, (0, 0, 0, 1)), F.pad(ee, (0, 1, 0, 1))
        _, channels, height, width = oo.shape
        rows = torch.stack((torch.stack((oo, oe), 4), torch.stack((eo, ee), 4)), 3)
        out = blurred(rows.reshape(-1, channels, 2 * height, 2 * width), self.blur, pad=(0, 0))
        # The first and the last line along each axis see beyond the edge; after them there is one too many.
        left, right = _column(x[..., :1], self.edges.left), _column(x[..., -1:], self.edges.right)
        out = _corrected(out, 3, 2 * x.shape[3], left, right)
        top, bottom = _row(x[:, :, :1], self.edges.top), _row(x[:, :, -1:], self.edges.bottom)
        return _corrected(out, 2, 2 * x.shape[2], top, bottom)


def bilinear_doubling(weight: Tensor) -> BilinearDoubling:
    """Return the doubling and the convolution with a kernel, outputs×inputs×3×3."""
    even, odd = [0, 2], [1]  # the kernel's lines that meet in a line of the result
    oo, oe, eo, ee = (weight[:, :, rows][..., columns] for rows in (odd, even) for columns in (odd, even))
    edges = Edges(weight[:, :, :1], weight[:, :, 2:], weight[..., :1], weight[..., 2:])
    row = ROW.to(weight.dtype).repeat(len(weight), 1, 1, 1)
    return BilinearDoubling((oo, oe, eo, ee), edges, (row, row.transpose(2, 3)))


def _corrected(x: Tensor, axis: int, length: int, first: Tensor, last: Tensor) -> Tensor:
    """Subtract from the first and the last of `length` lines along an axis, and drop those after them."""
    begin, middle, end = (x.narrow(axis, at, n) for at, n in ((0, 1), (1, length - 2), (length - 1, 1)))
    return torch.cat((begin - first, middle, end - last), axis)


def _row(line: Tensor, kernel: Tensor) -> Tensor:
    """Convolve the line above or below the doubled picture, with its corners: B×C×1×W to B×C′×1×2W."""
    x = F.interpolate(line, scale_factor=(1, 2), mode="bilinear", align_corners=False)
    return F.conv2d(F.pad(x, (1, 1, 0, 0), mode="replicate"), kernel)


def _column(line: Tensor, kernel: Tensor) -> Tensor:
    """Convolve the line left or right of the doubled picture, without its corners.

    Maps B×C×H×1 to B×C′×(2H+1)×1, one line too many, as long as what it is subtracted from.
    """
    x = F.interpolate(line, scale_factor=(2, 1), mode="bilinear", align_corners=False)
    return F.conv2d(F.pad(x, (0, 0, 1, 2)), kernel)
