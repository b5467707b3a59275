"""Convert crops to tensors and back."""

import numpy as np
import torch
from torch import Tensor

from portraits.damage import Portrait


def to_tensor(crops: list[Portrait]) -> Tensor:
    """Return crops, S×S×3 uint8 RGB, as B×3×S×S float32 in [−1, 1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def to_crops(batch: Tensor) -> list[Portrait]:
    """Return the inverse of `to_tensor`, rounded and clipped."""
    pixels = batch.detach().add(1).mul(127.5).round().clamp(0, 255).byte()
    return list(pixels.permute(0, 2, 3, 1).cpu().numpy())
