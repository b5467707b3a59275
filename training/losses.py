"""What the restored crop is compared by."""

import torch
import torch.nn.functional as F
from torch import Tensor


def reconstruction_loss(restored: Tensor, target: Tensor, gradient_weight: float) -> Tensor:
    """Return L1 over pixels plus weighted L1 over horizontal and vertical gradients at three scales."""
    loss = F.l1_loss(restored, target)
    for _ in range(3):
        loss = loss + gradient_weight / 3 * sum(
            F.l1_loss(torch.diff(restored, dim=d), torch.diff(target, dim=d)) for d in (2, 3)
        )
        restored, target = F.avg_pool2d(restored, 2), F.avg_pool2d(target, 2)
    return loss


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB of each sample of two batches in [−1, 1], clipped there."""
    error = (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error.clamp_min(1e-10))
