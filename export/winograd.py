"""Winograd convolution: wide 3×3 convolutions with a quarter of their multiplications, for CPUs.

Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A computes 4×4 results of a 6×6 tile d and a 3×3 kernel g with 36 products
instead of 144 (A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: F(4×4,
3×3)). The tiles of a picture become one matrix product for each of the 36 places in a tile. Splitting and
joining tiles costs part of the gain, so only wide layers benefit, and only where the products dominate the
time: on a CPU. GPUs have faster algorithms of their own, and the rounding error is too large for half
precision.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from export.layers import Convolve, Same

Layer = TypeVar("Layer")

TILE = 4
"""Results along a tile's side."""
PLACES = (TILE + 2) ** 2

LEAST_OUTPUTS = 256
LEAST_RESOLUTION = 32
"""Measured on two cores: 1.9 times as fast with 512 outputs at 64×64, 1.4 at 32×32, no gain with 128 outputs
(bench/results/notes.md)."""

TILES = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
"""Bᵀ"""
KERNELS = (
    torch.tensor(
        [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64
    )
    / 24
)
"""G"""
RESULTS = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)
"""Aᵀ"""


@dataclass(frozen=True)
class Winograd:
    """A 3×3 convolution that keeps the resolution, a multiple of 4."""

    products: Tensor
    """36×outputs×inputs: G g Gᵀ of every kernel."""
    take_apart: Tensor
    """36×1×6×6: Bᵀ d B, as a convolution over the tiles of one channel."""
    put_together: Tensor
    """36×1×4×4: Aᵀ m A, as a transposed convolution."""

    def __call__(self, parts: list[Tensor]) -> Tensor:
        """Convolve parts as if concatenated, each B×C×H×W, to B×C′×H×W."""
        x = torch.cat(parts, 1)
        _, channels, height, width = x.shape
        tiles = F.conv2d(x.reshape(-1, 1, height, width), self.take_apart, stride=TILE, padding=1)
        tiles = tiles.reshape(-1, channels, PLACES, height * width // TILE**2).transpose(1, 2)
        results = torch.matmul(self.products, tiles).transpose(1, 2)
        results = results.reshape(-1, PLACES, height // TILE, width // TILE)
        pixels = F.conv_transpose2d(results, self.put_together, stride=TILE)
        return pixels.reshape(-1, self.products.shape[1], height, width)


def quickened(convolve: Convolve, resolution: int) -> Convolve:
    """Return a convolution in Winograd's form if it is faster at this resolution on a CPU, else unchanged."""
    if isinstance(convolve, Same) and _gains(convolve, resolution):
        return winograd(torch.cat(convolve.weights, 1))
    return convolve


def quickened_layers(layers: tuple[Layer, ...], kind: type) -> tuple[Layer, ...]:
    """Return a generator's layers, one at 4×4, then two at each resolution, those of a kind quickened."""

    def quick(i: int, layer: Any) -> Any:
        return replace(layer, convolve=quickened(layer.convolve, 4 * 2 ** ((i + 1) // 2)))

    return tuple(quick(i, layer) if isinstance(layer, kind) else layer for i, layer in enumerate(layers))


def winograd(weight: Tensor) -> Winograd:
    """Return the convolution with a kernel, outputs×inputs×3×3, in Winograd's form."""
    products = torch.einsum("ai,ocij,bj->aboc", KERNELS, weight.double(), KERNELS)
    take_apart = torch.einsum("ai,bj->abij", TILES, TILES).reshape(PLACES, 1, TILE + 2, TILE + 2)
    put_together = torch.einsum("ia,jb->abij", RESULTS, RESULTS).reshape(PLACES, 1, TILE, TILE)
    return Winograd(products.flatten(0, 1).float(), take_apart.float(), put_together.float())


def _gains(convolution: Same, resolution: int) -> bool:
    return len(convolution.weights[0]) >= LEAST_OUTPUTS and resolution >= LEAST_RESOLUTION
