"""Aligned portraits as an endless stream of training pairs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engines.errors import PhotoError
from training.degradation import Crop, Ranges, degrade

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


def augment(portrait: Crop, size: int, rng: Generator) -> Crop:
    """Return a size×size view of a portrait: mirrored, moved, turned, relit, grey now and then."""
    edge = portrait.shape[0]
    matrix = cv2.getRotationMatrix2D((edge / 2, edge / 2), rng.uniform(-6, 6), rng.uniform(0.9, 1.15))
    matrix[:, 2] += rng.uniform(-0.03, 0.03, 2) * edge
    moved = cv2.warpAffine(
        portrait, matrix, (edge, edge), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    view = cv2.resize(moved, (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    light = view.astype(np.float32) / 255
    light = np.clip(light * rng.uniform(0.75, 1.15, (1, 1, 1)) * rng.uniform(0.94, 1.06, 3), 0, 1)
    light **= rng.uniform(0.8, 1.25)
    grey = light @ np.array([0.299, 0.587, 0.114], np.float32)
    saturation = 0.0 if rng.random() < 0.08 else rng.uniform(0.7, 1.2)
    light = grey[..., None] + saturation * (light - grey[..., None])
    return np.asarray(np.rint(np.clip(light, 0, 1) * 255), np.uint8)


def to_tensor(crops: list[Crop]) -> Tensor:
    """Return B×3×S×S float32 in [−1, 1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def to_crops(batch: Tensor) -> list[Crop]:
    """Return the inverse of `to_tensor`, rounded and clipped."""
    pixels = batch.detach().add(1).mul(127.5).round().clamp(0, 255).byte()
    return list(pixels.permute(0, 2, 3, 1).cpu().numpy())


def batches(
    portraits: list[Crop], size: int, batch: int, ranges: Ranges, seed: int, start: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (degraded, target) batches for ever, made ahead by a thread.

    Batch k depends only on the seed and k, so a resumed run sees what an uninterrupted one would have seen.
    """

    def make(step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((seed, step))
        targets = [augment(portraits[i], size, rng) for i in rng.integers(len(portraits), size=batch)]
        return to_tensor([degrade(target, rng, ranges) for target in targets]), to_tensor(targets)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, start)
        while True:
            start += 1
            ready, ahead = ahead.result(), pool.submit(make, start)
            yield ready
