"""What a run is judged by while it goes on: figures, and a sheet to look at, of crops kept from it."""

from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import torch
from torch import Tensor

from export import static
from export.network import Gpen
from runtime.atomic import write_atomically
from training.degradation import Crop, Ranges, degrade
from training.losses import psnr, ssim
from training.portraits import to_crops, to_tensor

CROPS = 16
ON_SHEET = 8
AT_ONCE = 4


@dataclass(frozen=True)
class Quality:
    """Means over the validation crops; PSNR in dB."""

    psnr_degraded: float
    psnr_restored: float
    psnr_untouched: float
    """Of the undegraded crops, restored."""
    psnr_second: float
    """Of their second restoration against their first."""
    ssim_degraded: float
    ssim_restored: float

    @property
    def figures(self) -> tuple[float, ...]:
        """Return the figures in the order of the columns."""
        return astuple(self)


COLUMNS = tuple(Quality.__dataclass_fields__)


@dataclass(frozen=True)
class Examples:
    """Validation crops, B×3×S×S in [−1, 1]."""

    degraded: Tensor
    target: Tensor


def examples(portraits: list[Crop], size: int, ranges: Ranges, device: torch.device) -> Examples:
    """Degrade the first portraits by the published chain, as the benchmark does with seed 0."""
    always = msgspec.structs.replace(ranges, untouched=0.0)
    targets = [
        np.asarray(cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        for portrait in portraits[:CROPS]
    ]
    degraded = [degrade(crop, np.random.default_rng((0, i)), always) for i, crop in enumerate(targets)]
    return Examples(to_tensor(degraded).to(device), to_tensor(targets).to(device))


@torch.no_grad()
def restore(network: Gpen, crops: Tensor) -> Tensor:
    """Restore crops a few at a time, in FP32, clipped to [−1, 1]."""
    net = static.fold(network)
    return torch.cat([static.restore(net, part).clamp(-1, 1) for part in torch.split(crops, AT_ONCE)])


def judge(network: Gpen, shown: Examples, restored: Tensor) -> Quality:
    """Return the figures of a network; `restored` are the degraded crops as it restores them."""
    degraded, target = shown.degraded, shown.target
    once = restore(network, target)
    values = (
        psnr(degraded, target),
        psnr(restored, target),
        psnr(once, target),
        psnr(restore(network, once), once),
        ssim(degraded, target),
        ssim(restored, target),
    )
    return Quality(*(float(value.mean()) for value in values))


def write_sheet(path: Path, shown: Examples, restored: Tensor) -> None:
    """Write a PNG with one row for each of the first crops: degraded, restored, target."""
    columns = [to_crops(crops[:ON_SHEET]) for crops in (shown.degraded, restored, shown.target)]
    sheet = np.hstack([np.vstack(column) for column in columns])
    _, data = cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))
    path.parent.mkdir(exist_ok=True)
    with write_atomically(path) as file:
        file.write(data.tobytes())
