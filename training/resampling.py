"""Shrinking and enlarging a batch, each crop by a factor and with a kernel of its own.

A resampling is the same along rows and columns and linear, so it is a matrix on each side of a picture.
Shrunk pictures keep the batch's size: they lie in the corner of a canvas, their last row and column repeated.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

Kernel: TypeAlias = Literal["area", "linear", "cubic", "nearest"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)


def shrink(crops: Tensor, sizes: Sequence[int], kernels: Sequence[Kernel]) -> Tensor:
    """Return B×C×S×S whose upper left n×n are the crops, shrunk; beyond lies the edge, repeated.

    crops    B×C×S×S
    sizes    n ≤ S of each
    kernels  of each: area averages, linear and cubic widened by the factor, or nearest pixels
    """
    size = crops.shape[-1]
    return _apply(_matrices(size, sizes, kernels, crops.device, shrinking=True), crops)


def enlarge(canvas: Tensor, sizes: Sequence[int], kernels: Sequence[Kernel]) -> Tensor:
    """Return B×C×S×S: the upper left n×n of each canvas enlarged to all of it."""
    size = canvas.shape[-1]
    return _apply(_matrices(size, sizes, kernels, canvas.device, shrinking=False), canvas)


def _apply(matrices: Tensor, crops: Tensor) -> Tensor:
    """Multiply from the left and, transposed, from the right: B×S×S on B×C×S×S."""
    b, c, size, _ = crops.shape
    rows = torch.bmm(crops.reshape(b, c * size, size), matrices.transpose(1, 2)).reshape(crops.shape)
    columns = torch.bmm(rows.transpose(2, 3).reshape(b, c * size, size), matrices.transpose(1, 2))
    return columns.reshape(b, c, size, size).transpose(2, 3).contiguous()


def _matrices(
    size: int, sizes: Sequence[int], kernels: Sequence[Kernel], device: torch.device, *, shrinking: bool
) -> Tensor:
    matrices = torch.empty(len(sizes), size, size, device=device)
    for kernel in sorted(set(kernels)):
        members = [i for i, name in enumerate(kernels) if name == kernel]
        n = torch.tensor([sizes[i] for i in members], dtype=torch.float32, device=device)[:, None, None]
        matrices[members] = _matrix(size, n, kernel, shrinking=shrinking)
    return matrices


def _matrix(size: int, n: Tensor, kernel: Kernel, *, shrinking: bool) -> Tensor:
    """Return a weight for each output (rows) of each input (columns); n is B×1×1."""
    row = torch.arange(float(size), device=n.device)[None, :, None]
    column = torch.arange(float(size), device=n.device)[None, None, :]
    if shrinking:
        centre = (torch.minimum(row, n - 1) + 0.5) * (size / n) - 0.5
        wide, last = size / n, torch.full_like(n, size - 1)
    else:
        centre = (row + 0.5) * (n / size) - 0.5
        wide, last = torch.ones_like(n), n - 1
    if kernel == "nearest":
        return (column == (centre + 0.5).floor().clamp(min=0).minimum(last)).float()
    if kernel == "area":
        # What a pixel shares with the window, wherever the window is wider than a pixel.
        half = wide / 2
        share = torch.minimum(column + 0.5, centre + half) - torch.maximum(column - 0.5, centre - half)
        weights = share.clamp(min=0)
    else:
        weights = _SHAPES[kernel]((column - centre).abs() / wide)
    weights = weights * (column <= last)
    return weights / weights.sum(2, keepdim=True)


def _linear(x: Tensor) -> Tensor:
    return (1 - x).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Return Keys' cubic with a = −0.75, as OpenCV has it."""
    a = -0.75
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


_SHAPES: dict[Kernel, Callable[[Tensor], Tensor]] = {"linear": _linear, "cubic": _cubic}
