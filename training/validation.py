"""Validation during a run: figures, and a sheet to look at, for held-out crops."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import torch
from torch import Tensor

from base.files import write_atomically
from portraits.damage import Portrait, Ranges, degrade
from training.losses import psnr
from training.network.growing import Growing
from training.on_the_way import after
from training.tensors import to_crops, to_tensor

CROPS = 16
ON_SHEET = 8
PASSES = {1: [30], 2: [13, 17], 5: [3, 4, 6, 15, 2]}
"""By number of passes: the steps after each, 30 in all (η = 0.1; five are the standard schedule)."""
COLUMNS = (
    "degraded",
    *(f"{what}_{n}" for n in PASSES for what in ("psnr", "sharp")),
    "sharp_degraded",
    "clean",
)
"""PSNR in dB of the degraded crops and after 1, 2 and 5 passes; their gradients relative to the truth's; PSNR
of undegraded crops after one pass.
"""


@dataclass(frozen=True)
class Examples:
    """Validation crops, B×3×S×S in [−1, 1]."""

    degraded: Tensor
    target: Tensor


def examples(portraits: list[Portrait], size: int, ranges: Ranges, device: torch.device) -> Examples:
    """Degrade the first portraits by the published chain, like the benchmark with seed 0."""
    always = msgspec.structs.replace(ranges, untouched=0.0)
    targets = [
        np.asarray(cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        for portrait in portraits[:CROPS]
    ]
    degraded = [degrade(crop, np.random.default_rng((0, i)), always) for i, crop in enumerate(targets)]
    return Examples(to_tensor(degraded).to(device), to_tensor(targets).to(device))


@torch.no_grad()
def judge(network: Growing, shown: Examples) -> tuple[dict[str, float], list[Tensor]]:
    """Return the figures by column, and the crops after each number of passes."""
    degraded, target = shown.degraded, shown.target
    figures = {"degraded": _mean(psnr(degraded, target)), "sharp_degraded": sharpness(degraded, target)}
    restored = []
    for passes, leaps in PASSES.items():
        crops = after(lambda estimate: network(estimate).crops.float(), degraded, leaps).clamp(-1, 1)
        restored.append(crops)
        figures |= {f"psnr_{passes}": _mean(psnr(crops, target)), f"sharp_{passes}": sharpness(crops, target)}
    figures["clean"] = _mean(psnr(network(target).crops.float(), target))
    return figures, restored


def sharpness(crops: Tensor, target: Tensor) -> float:
    """Return the mean gradient of crops relative to the target's: below 1 is blurred; noise raises it."""
    both = [sum(torch.diff(x, dim=axis).abs().mean() for axis in (2, 3)) for x in (crops, target)]
    return float(both[0] / both[1])


def _mean(values: Tensor) -> float:
    return float(values.mean())


def write_sheet(path: Path, shown: Examples, restored: list[Tensor]) -> None:
    """Write a JPEG, one row for each of the first crops: degraded, after each number of passes, target."""
    columns = [to_crops(crops[:ON_SHEET]) for crops in (shown.degraded, *restored, shown.target)]
    sheet = np.hstack([np.vstack(column) for column in columns])
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(sheet[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 92])
    path.parent.mkdir(exist_ok=True)
    with write_atomically(path) as file:
        file.write(data.tobytes())
