"""The network that draws eyes again, and the adversary that it is trained against."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from export.storage import store_in_bytes
from runtime.network.eyes import HEIGHT, WIDTH
from training.adversary import Judge, Tower

WIDTHS = (24, 48, 72, 96)
"""Channels at full resolution, and after each halving."""
DEEP = 2
"""Residual layers at the lowest resolution."""

EYES, ROW = (32.5, 95.5), 27.0
"""Columns and row of the eyes in a strip."""
REACH = (15.0, 9.5)
"""Pixels along x and y over which the change fades out around an eye."""


class Residual(nn.Module):
    """Two convolutions whose result is added; it begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        nn.init.zeros_(self.second.weight)
        _zero_bias(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        change: Tensor = self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.2)), 0.2))
        return x + change


class EyesNet(nn.Module):
    """A small U-Net: the strip that the restoring network saw, and its result, both B×3×56×128 in [−1, 1] →
    the strip with other eyes.

    It begins as the identity of the result, and changes nothing far from the eyes.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        steps = list(pairwise(widths))
        self.first = nn.Conv2d(6, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 4, 2, 1) for fine, coarse in steps)
        self.before = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.deep = nn.ModuleList(Residual(widths[-1]) for _ in range(DEEP))
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 3, 1, 1) for fine, coarse in steps)
        self.after = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.last = nn.Conv2d(widths[0], 3, 3, 1, 1)
        nn.init.zeros_(self.last.weight)
        _zero_bias(self.last)
        rows, columns = near_eyes()
        self.register_buffer("rows", rows[:, None])
        self.register_buffer("columns", columns)

    def forward(self, crop: Tensor, restored: Tensor) -> Tensor:
        """Return the strip with other eyes; away from them it is the restored one."""
        x, skipped = self.first(torch.cat((crop, restored), 1)), []
        for residual, down in zip(self.before, self.down, strict=True):
            x = residual(x)
            skipped.append(x)
            x = down(F.leaky_relu(x, 0.2))
        for residual in self.deep:
            x = residual(x)
        layers = zip(self.up, self.after, skipped, strict=True)
        for up, residual, fine in reversed(list(layers)):
            x = residual(up(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)) + fine)
        change: Tensor = self.last(F.leaky_relu(x, 0.2))
        return restored + change * (1.3 * self.rows * self.columns).clamp(0, 1)


def new_judge(channels: int = 32) -> Judge:
    """Return the adversary, which looks at two scales, with spectral normalisation."""
    judge = Judge(channels, 2, 0, partial(Tower, strides=(1, 2, 2, 2), last=3, padding=1))
    for layer in [each for each in judge.modules() if isinstance(each, nn.Conv2d)]:
        spectral_norm(layer)
    return judge


def export(network: EyesNet, path: Path) -> None:
    """Write the network as ONNX, its weights in INT8."""
    strip = torch.zeros(1, 3, HEIGHT, WIDTH)
    torch.onnx.export(
        network.float().cpu().eval(),
        (strip, strip),
        str(path),
        input_names=["crop", "restored"],
        output_names=["eyes"],
        dynamo=False,
        opset_version=17,
        do_constant_folding=False,  # rows × columns would take as much space as a layer
    )
    onnx.save(store_in_bytes(onnx.load(path)), path)


def near_eyes() -> tuple[Tensor, Tensor]:
    """Return how far the rows and the columns of a strip may change, H and W: 1 at the eyes, 0 far away."""
    y, x = torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5
    away = torch.minimum(*((x - eye).abs() for eye in EYES))
    rows, columns = (
        torch.exp(-((d / reach) ** 3) / 2) for d, reach in (((y - ROW).abs(), REACH[1]), (away, REACH[0]))
    )
    return rows, columns


def _zero_bias(layer: nn.Conv2d) -> None:
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
