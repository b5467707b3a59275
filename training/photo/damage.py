"""Damage a batch of patches on the device that trains: noise, grain, slight blur and JPEG."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

REACH = 5
"""Reach of the blurs in pixels."""

# Annex K of ITU-T T.81, as scaled by the Independent JPEG Group's software.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def damaged(clean: Tensor) -> Tensor:
    """Return patches with damage drawn for each: B×3×H×W in [0, 1], H and W multiples of 16, 8-bit levels.

    An eighth stays clean. Others are noisy, compressed or both, some slightly blurred before.
    """
    levels = clean * 255
    batch, device = len(clean), clean.device

    def happens(share: float) -> Tensor:
        return torch.rand(batch, 1, 1, 1, device=device) < share

    touched, noisy, compressed = happens(0.88), happens(0.65), happens(0.6)
    compressed = compressed | ~noisy
    soft = touched & happens(0.1)
    sizes = torch.rand(batch, device=device) * 0.5 + 0.35
    levels = torch.where(soft, _blurred(levels, sizes), levels)
    sigma = 30 * torch.rand(batch, 1, 1, 1, device=device) ** 1.3 + 0.7
    noise = _noise(levels) * torch.where(touched & noisy, sigma, 0.0)
    levels = (levels + noise).clamp(0, 255).round()
    quality = torch.rand(batch, device=device) * 75 + 22
    parts = ((slice(batch * 2 // 3), True), (slice(batch * 2 // 3, None), False))
    pressed = torch.cat([jpeg(levels[part], quality[part], halved=halved) for part, halved in parts])
    return torch.where(touched & compressed, pressed, levels) / 255


def _noise(levels: Tensor) -> Tensor:
    """Return noise of σ = 1 at middle grey: white, shot noise and grain, in colour or grey."""
    batch, device = len(levels), levels.device
    field = torch.randn_like(levels)
    third = batch // 3
    size = torch.rand(third, device=device) * 1.1 + 0.35
    coarse = _blurred(field[:third], size)
    field = torch.cat([coarse / coarse.std(dim=(1, 2, 3), keepdim=True), field[third:]])
    grey = torch.rand(batch, 1, 1, 1, device=device) < 0.35
    field = torch.where(grey, field[:, :1], field)
    light = (levels / 255).clamp(0, 1)
    kind = torch.rand(batch, 1, 1, 1, device=device)
    shot, grain = (2 * light).sqrt(), (4 * light * (1 - light)).sqrt()
    return field * torch.where(kind < 0.25, shot, torch.where(kind < 0.4, grain, 1.0))


def _blurred(patches: Tensor, sigmas: Tensor) -> Tensor:
    """Blur each patch by a Gaussian of its own σ, B, in pixels."""
    batch, channels, height, width = patches.shape
    at = torch.arange(-REACH, REACH + 1, device=patches.device)
    taps = torch.exp(-0.5 * (at / sigmas[:, None]) ** 2)
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = functional.pad(patches.reshape(1, batch * channels, height, width), [REACH] * 4, mode="reflect")
    flat = functional.conv2d(flat, taps[:, None, None, :], groups=batch * channels)
    flat = functional.conv2d(flat, taps[:, None, :, None], groups=batch * channels)
    return flat.reshape(patches.shape)


def jpeg(levels: Tensor, quality: Tensor, *, halved: bool) -> Tensor:
    """Return patches after JPEG compression, B×3×H×W in [0, 255].

    quality  B, from 1 to 100 on the scale of the Independent JPEG Group
    halved   whether chroma has half the resolution (4:2:0)
    """
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None, None, None, None]

    def quantised(plane: Tensor, table: tuple[tuple[float, ...], ...]) -> Tensor:
        steps = _constant(table, plane.device)[None, None, None, :, None, :]
        steps = ((steps * scale + 50) / 100).floor().clamp(1, 255)
        count, channels, height, width = plane.shape
        blocks = plane.reshape(count, channels, height // 8, 8, width // 8, 8)
        turned = torch.einsum("ij,bchjwl,kl->bchiwk", basis, blocks, basis)
        turned = (turned / steps).round() * steps
        return torch.einsum("ij,bchiwk,kl->bchjwl", basis, turned, basis).reshape(plane.shape)

    basis = _cosines(levels.device)
    ycc = torch.einsum("ij,bjhw->bihw", _constant(TO_YCC, levels.device), levels).round()
    luma, chroma = quantised(ycc[:, :1] - 128, LUMA) + 128, ycc[:, 1:]
    if halved:
        chroma = quantised(functional.avg_pool2d(chroma, 2).round(), CHROMA).round()
        chroma = functional.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    else:
        chroma = quantised(chroma, CHROMA)
    ycc = torch.cat([luma, chroma], dim=1).round()
    rgb = torch.einsum("ij,bjhw->bihw", _constant(TO_RGB, levels.device), ycc)
    return rgb.clamp(0, 255).round()


@cache
def _constant(rows: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    """Return a table on a device; copying it there for each batch would make the device wait."""
    return torch.tensor(rows, dtype=torch.float32, device=device)


@cache
def _cosines(device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II of 8 samples, 8×8."""
    at = torch.arange(8, dtype=torch.float32, device=device)
    basis = torch.cos(math.pi / 8 * at[:, None] * (at[None, :] + 0.5)) / 2
    basis[0] /= math.sqrt(2)
    return basis
