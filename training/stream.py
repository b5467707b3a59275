"""Portraits as an endless stream of training pairs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from training.augmentation import Augmentation, augment, draw_view
from training.damage import damage, draw
from training.degradation import Crop, Ranges

FINER = 2
"""Portraits are kept at up to this many times the crops' size: finer ones would show in no view."""


@dataclass(frozen=True)
class Batch:
    """What one step trains on."""

    degraded: Tensor
    """B×3×S×S in [−1, 1]."""
    target: Tensor
    """B×3×S×S in [−1, 1]."""
    untouched: Tensor
    """B bool: the crop is its own target."""


def stacked(portraits: list[Crop], size: int, device: torch.device) -> Tensor:
    """Return the portraits on the device, N×3×E×E uint8; E is the size or `FINER` times it."""
    edge = size * min(FINER, max(1, portraits[0].shape[0] // size))
    pictures = np.empty((len(portraits), edge, edge, 3), np.uint8)
    for picture, portrait in zip(pictures, portraits, strict=True):
        method = cv2.INTER_AREA if len(portrait) > edge else cv2.INTER_CUBIC
        picture[:] = cv2.resize(portrait, (edge, edge), interpolation=method)
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().to(device)


def make_batch(
    portraits: Tensor, size: int, batch: int, ranges: Ranges, amount: Augmentation, seed: int, step: int
) -> Batch:
    """Return batch number `step` of a seed: it depends on nothing else, so a resumed run sees the same."""
    rng = np.random.default_rng((seed, step))
    chosen = torch.from_numpy(rng.integers(len(portraits), size=batch)).to(portraits.device)
    views = [draw_view(rng, amount) for _ in range(batch)]
    damages = [draw(rng, ranges, size) for _ in range(batch)]
    generator = torch.Generator(portraits.device).manual_seed(int(rng.integers(2**62)))
    crops = augment(portraits[chosen], views, size)
    degraded, target = damage(crops, damages, generator)
    untouched = torch.tensor([d.untouched for d in damages], device=portraits.device)
    return Batch(degraded / 127.5 - 1, target / 127.5 - 1, untouched)


def batches(
    portraits: Tensor, size: int, batch: int, ranges: Ranges, amount: Augmentation, seed: int, start: int
) -> Iterator[Batch]:
    """Yield batches for ever, from number `start` on.

    On a CPU a thread makes them ahead; a GPU's own queue does that.
    """

    @torch.no_grad()
    def make(step: int) -> Batch:
        return make_batch(portraits, size, batch, ranges, amount, seed, step)

    if portraits.is_cuda:
        while True:
            yield make(start)
            start += 1
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, start)
        while True:
            start += 1
            ready, ahead = ahead.result(), pool.submit(make, start)
            yield ready
