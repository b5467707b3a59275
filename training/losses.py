"""Losses for restored crops. All functions take B×3×S×S in [−1, 1] and return a number per crop."""

import math
from collections.abc import Sequence

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from base.errors import SettingsError

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales of MS-SSIM: Wang, Simoncelli and Bovik, 2003, section 4."""
WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
"""Stabilisers of SSIM for pixels with a range of 2: Wang et al., 2004, section III.B."""


class LossWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights of the parts of the reconstruction loss; 0 disables a part."""

    decibels: float = 0.2
    """The logarithm of the mean squared error, as in PSNR, above `knee`."""
    knee: float = 0.02
    """A mean squared error (0.02 is 23 dB). Errors well above it count logarithmically, smaller ones
    linearly.

    Training starts with a network that returns its input, and good crops should stay unchanged. L1, or a PSNR
    without a knee, would keep it there: to both, the first small error on a good crop weighs as much as any.
    Once the network restores, a lower knee makes it care about good crops as well.
    """
    pixels: float = 0.0
    """L1 over pixels."""
    gradient: float = 0.0
    """L1 over horizontal and vertical differences at three scales."""
    structure: float = 0.0
    """1 − MS-SSIM."""
    frequency: float = 0.0
    """L1 over the spectra."""
    levels: float = 0.0
    """L1 at each of the generator's lower resolutions, of what it adds there."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"loss weight {name} is {getattr(self, name)}: give 0 or more")
        if not self.knee:
            raise SettingsError("loss knee is 0: give a positive number, such as 0.02")


def reconstruction_loss(restored: Tensor, target: Tensor, weights: LossWeights) -> Tensor:
    """Return the weighted sum of the parts, averaged over the batch."""
    error = restored - target
    loss = weights.decibels * torch.log1p(error.square().mean((1, 2, 3)) / weights.knee)
    if weights.pixels:
        loss = loss + weights.pixels * error.abs().mean((1, 2, 3))
    if weights.gradient:
        loss = loss + weights.gradient * gradient_difference(restored, target)
    if weights.structure:
        loss = loss + weights.structure * (1 - ms_ssim(restored, target))
    if weights.frequency:
        loss = loss + weights.frequency * frequency_difference(restored, target)
    return loss.mean()


def level_difference(levels: Sequence[Tensor], given: Tensor, target: Tensor) -> Tensor:
    """Return the mean L1 distance from the shrunk target of the crops plus each level's addition, B×3×r×r."""
    missing, loss = target - given, torch.zeros((), device=given.device)
    for level in levels:
        wanted = F.adaptive_avg_pool2d(missing, level.shape[-1])
        loss = loss + (level.float() - wanted).abs().mean() / len(levels)
    return loss


def gradient_difference(restored: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring pixels' differences, over three scales."""
    difference = restored - target  # everything below is linear
    loss = torch.zeros(len(difference), device=difference.device)
    for _ in range(3):
        for axis in (2, 3):
            loss = loss + torch.diff(difference, dim=axis).abs().mean((1, 2, 3)) / 3
        difference = F.avg_pool2d(difference, 2)
    return loss


def frequency_difference(restored: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of the orthonormal spectra (Cho et al., MIMO-UNet, ICCV 2021).

    A texture that is missing everywhere is small in each pixel, but large in its few frequencies.
    """
    distance: Tensor = torch.fft.rfft2(restored - target, norm="ortho").abs()
    return distance.mean((1, 2, 3))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity (Wang et al., 2004), averaged over colours and complete windows."""
    luminance, structure = _similarities(a, b)
    return (luminance * structure).mean((1, 2, 3))


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the multi-scale structural similarity (Wang et al., 2003), over as many scales as fit."""
    scales = [w for i, w in enumerate(SCALE_WEIGHTS) if a.shape[-1] >> i >= WINDOW]
    total, result = sum(scales), torch.ones(len(a), device=a.device)
    for i, weight in enumerate(scales):
        luminance, structure = _similarities(a, b)
        last = i == len(scales) - 1
        similarity = (luminance * structure if last else structure).mean((1, 2, 3))
        result = result * similarity.clamp_min(1e-4) ** (weight / total)
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return result


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB, pixels clipped to [−1, 1]."""
    error = (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error.clamp_min(1e-10))


def _similarities(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maps of luminance and of contrast and structure."""
    count, channels = a.shape[:2]
    means = torch.split(_windowed(torch.cat((a, b, a * a, b * b, a * b)), channels), count)
    mean_a, mean_b, square_a, square_b, product = means
    luminance = (2 * mean_a * mean_b + C1) / (mean_a.square() + mean_b.square() + C1)
    variances = square_a - mean_a.square() + square_b - mean_b.square()
    return luminance, (2 * (product - mean_a * mean_b) + C2) / (variances + C2)


def _windowed(x: Tensor, channels: int) -> Tensor:
    distance = torch.arange(WINDOW, device=x.device) - WINDOW // 2
    weights = torch.exp(-distance.square() / (2 * SIGMA**2))
    kernel = (weights / weights.sum()).repeat(channels, 1, 1, 1)
    return F.conv2d(F.conv2d(x, kernel, groups=channels), kernel.transpose(2, 3), groups=channels)
