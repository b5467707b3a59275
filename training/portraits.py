"""Aligned portraits: reading them, and the way to tensors and back."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from base.errors import PhotoError
from training.degradation import Crop

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def portrait_paths(folder: Path) -> list[Path]:
    """Return the portraits of a folder in the order of their names. Raises PhotoError when there are none."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise PhotoError(f"no portraits in {folder}: give a folder of square, aligned .jpg or .png files")
    return paths


def load_portraits(folder: Path, *, first: int = 0, limit: int | None = None) -> list[Crop]:
    """Read a folder of square, aligned portraits as RGB, from the `first` on in the order of their names.

    limit  how many at most; None reads all
    """
    return [_load(path) for path in portrait_paths(folder)[first:][:limit]]


def _load(path: Path) -> Crop:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None or picture.shape[0] != picture.shape[1]:
        raise PhotoError(f"{path} is not a square picture: training needs aligned portraits")
    return np.asarray(picture[..., ::-1], np.uint8)


def no_finer(portrait: Crop, edge: int) -> Crop:
    """Return a portrait of at most edge×edge pixels."""
    if len(portrait) <= edge:
        return portrait
    return np.asarray(cv2.resize(portrait, (edge, edge), interpolation=cv2.INTER_AREA), np.uint8)


def to_tensor(crops: list[Crop]) -> Tensor:
    """Return B×3×S×S float32 in [−1, 1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def to_crops(batch: Tensor) -> list[Crop]:
    """Return the inverse of `to_tensor`, rounded and clipped."""
    pixels = batch.detach().add(1).mul(127.5).round().clamp(0, 255).byte()
    return list(pixels.permute(0, 2, 3, 1).cpu().numpy())
