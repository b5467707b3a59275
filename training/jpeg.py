"""JPEG as torch operations: a batch goes through on its device, each crop at a quality of its own.

Steps and tables are those of ITU-T T.81 (annex K) and JFIF, as libjpeg does them by default: 4:2:0 chroma by
2×2 averages, quantisation tables scaled by quality, smooth ("fancy") enlargement of the chroma. Only the
entropy coding, which loses nothing, is left out.
"""

import functools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""T.81, table K.1."""

_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
CHROMA_TABLE = tuple(
    tuple(_CHROMA_CORNER[i][j] if i < 4 and j < 4 else 99 for j in range(8)) for i in range(8)
)
"""T.81, table K.2."""

_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


def through_jpeg(crops: Tensor, qualities: Sequence[int]) -> Tensor:
    """Return crops as they come back from a JPEG file.

    crops      B×3×H×W float32 in [0, 255], rounded to whole levels here; H and W multiples of 16
    qualities  1 to 100, one for each crop, as libjpeg counts
    """
    device = crops.device
    levels = crops.round().clamp(0, 255)
    ycc = _mixed(levels, _TO_YCC)
    luma = ycc[:, :1].round() - 128
    chroma = F.avg_pool2d(ycc[:, 1:].round(), 2).round()  # centred on 0 already
    luma_steps, chroma_steps = (_steps(table, qualities, device) for table in (LUMA_TABLE, CHROMA_TABLE))
    luma = _quantised(luma, luma_steps).add(128).round().clamp(0, 255)
    chroma = _quantised(chroma, chroma_steps).round().clamp(-128, 127)
    return _mixed(torch.cat((luma, _enlarged(chroma)), 1), _TO_RGB).round().clamp(0, 255)


def _mixed(channels: Tensor, matrix: Sequence[Sequence[float]]) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", torch.tensor(matrix, device=channels.device), channels)


def _steps(table: Sequence[Sequence[int]], qualities: Sequence[int], device: torch.device) -> Tensor:
    """Return the quantisation steps, B×1×1×1×8×8, scaled as libjpeg's jpeg_quality_scaling does."""
    base = torch.tensor(table, dtype=torch.float32)
    scales = torch.tensor([5000 // q if q < 50 else 200 - 2 * q for q in qualities], dtype=torch.float32)
    steps = ((base * scales[:, None, None] + 50) / 100).floor().clamp(1, 255)
    return steps[:, None, None, None].to(device)


def _quantised(plane: Tensor, steps: Tensor) -> Tensor:
    """Transform B×C×H×W by 8×8 blocks, round to multiples of the steps, transform back."""
    b, c, h, w = plane.shape
    basis = _basis().to(plane.device)
    blocks = plane.reshape(b, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    coefficients = basis @ blocks @ basis.T
    kept = (coefficients / steps).round() * steps
    return (basis.T @ kept @ basis).transpose(3, 4).reshape(b, c, h, w)


@functools.cache
def _basis() -> Tensor:
    """Return the orthonormal 8-point DCT-II: row k is the k-th cosine."""
    k, x = torch.arange(8.0)[:, None], torch.arange(8.0)
    basis = torch.cos((2 * x + 1) * k * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


def _enlarged(chroma: Tensor) -> Tensor:
    """Double by a triangle: each new pixel is ¾ of the nearest and ¼ of the next (libjpeg's jdsample.c)."""
    return F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
