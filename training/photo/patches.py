"""Clean patches, drawn on the device that trains from crops that all lie in its memory."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from base.errors import PhotoError

EDGE = 448
"""Edge of a pack's crops in pixels."""
SMOOTH = 0.1
"""Share of the patches that are smooth, as sky or what is out of focus, and again of those smoother still:
a pack's crops show much detail."""


def load_crops(pack: Path, device: torch.device) -> Tensor:
    """Return all crops of a pack, N×3×EDGE×EDGE uint8 RGB. Raises PhotoError if there are none."""
    paths = sorted(pack.glob("*.jpg"))
    if not paths:
        raise PhotoError(f"no crops (*.jpg) in {pack}: make them with python -m training pack-photos")
    crops = []
    for path in paths:
        crop = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if crop is None or crop.shape[:2] != (EDGE, EDGE):
            raise PhotoError(f"{path} is not a crop of {EDGE}×{EDGE} pixels: pack the photos again")
        crops.append(crop[..., ::-1])
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous().to(device)


def draw_patches(crops: Tensor, batch: int, edge: int) -> Tensor:
    """Return B×3×edge×edge patches in [0, 1], turned and mirrored, in light and colours of their own."""
    device = crops.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, 1, 1, 1, device=device) * (high - low) + low

    which = torch.randint(len(crops), (batch, 1, 1, 1), device=device)
    rows, columns = _run(crops.shape[2], batch, edge, device), _run(crops.shape[3], batch, edge, device)
    channels = torch.arange(3, device=device)[None, :, None, None]
    patches = crops[which, channels, rows[:, None, :, None], columns[:, None, None, :]].float() / 255
    patches = _partly_smooth(patches)
    if torch.rand(()) < 0.5:
        patches = patches.transpose(2, 3)
    red, green, blue = torch.split(patches, 1, dim=1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    colour = uniform(0, 1)
    saturation = torch.where(colour < 0.15, 0.0, torch.where(colour < 0.4, uniform(0.2, 1.0), 1.0))
    patches = grey + saturation * (patches - grey)
    tint = 1 + 0.15 * (torch.rand(batch, 3, 1, 1, device=device) - 0.5)
    patches = patches * tint * uniform(0.55, 1.1)
    return patches.clamp(0, 1) ** torch.where(uniform(0, 1) < 0.3, uniform(0.7, 1.4), 1.0)


def _partly_smooth(patches: Tensor) -> Tensor:
    """Return patches, in random order, some of which have no detail finer than 4, or 8, pixels."""
    few = round(SMOOTH * len(patches))
    smooth = [
        functional.interpolate(
            functional.avg_pool2d(patches[first : first + few], factor),
            patches.shape[2:],
            mode="bicubic",
            align_corners=False,
        )
        for first, factor in ((0, 4), (few, 8))
        if few
    ]
    mixed = torch.cat([*smooth, patches[len(smooth) * few :]])
    return mixed[torch.randperm(len(mixed), device=mixed.device)]


def _run(length: int, batch: int, edge: int, device: torch.device) -> Tensor:
    """Return `edge` following indices for each patch, B×edge, rising or falling."""
    first = torch.randint(length - edge + 1, (batch, 1), device=device)
    steps = torch.arange(edge, device=device)[None]
    falling = torch.rand(batch, 1, device=device) < 0.5
    return first + torch.where(falling, edge - 1 - steps, steps)
