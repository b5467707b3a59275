"""Losses for restored crops. All functions take B×3×S×S in [−1, 1] and return a number per crop."""

import math
from collections.abc import Sequence

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from base.errors import SettingsError
from runtime.faces.align import TEMPLATES

SHARE = 4
"""Sides of a crop per side of a window around an eye or the mouth."""


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
    features: float = 0.0
    """L1 over pixels and differences in the windows around eyes and mouth, in addition."""
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
    total = loss.mean()
    if weights.features:
        for a, b in zip(windows(restored), windows(target), strict=True):
            total = total + weights.features * ((a - b).abs().mean() + gradient_difference(a, b).mean()) / 3
    return total


def windows(crops: Tensor) -> list[Tensor]:
    """Return the parts of aligned crops around the left eye, the right eye and the mouth, B×C×S/4×S/4."""
    size = crops.shape[-1]
    edge = size // SHARE
    left, right, _, *mouth = TEMPLATES["published"]
    parts = []
    for x, y in (left, right, sum(mouth) / 2):
        top, start = round(y * size) - edge // 2, round(x * size) - edge // 2
        parts.append(crops[..., top : top + edge, start : start + edge])
    return parts


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


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB, pixels clipped to [−1, 1]."""
    error = (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error.clamp_min(1e-10))
