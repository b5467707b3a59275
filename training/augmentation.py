"""Other views of the same portraits: a few hundred people must do for all.

One warp for everything geometric, so that a portrait is interpolated once; then light and colours. A share of
the views is only mirrored, so that the network also sees portraits in their full sharpness.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from engines.errors import SettingsError
from training.tones import LUMA

BENDS = 5
"""Points a side that a bend moves; between them it is smooth."""


class Augmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far views may be from the portrait; each is drawn evenly on both sides of none."""

    still: float = 0.25
    """Share of views that are not moved, only mirrored."""
    turn: float = 8.0
    """Degrees."""
    scale: float = 0.15
    aspect: float = 0.05
    """Width over height."""
    shift: float = 0.04
    """As a share of the side, as are the next two."""
    perspective: float = 0.05
    """By which opposite sides come to differ in length."""
    bend: float = 0.012
    """By which points of a coarse grid wander: another shape of face."""
    light: float = 0.25
    """Brightness, as a share."""
    contrast: float = 0.2
    gamma: float = 0.25
    tint: float = 0.07
    """Of each colour channel."""
    saturation: float = 0.35

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            most = 45.0 if name == "turn" else 1.0 if name == "still" else 0.6
            if not 0 <= value <= most:
                raise SettingsError(f"augmentation {name} is {value:g}: give 0 to {most:g}")


@dataclass(frozen=True)
class View:
    """One view of one portrait."""

    matrix: NDArray[np.float64]
    """3×3, view → portrait, in coordinates from −1 to 1 across the picture."""
    bend: NDArray[np.float64]
    """2×BENDS×BENDS, added to where the matrix leads."""
    colours: NDArray[np.float64]
    """3×4: linear in R, G, B and 1, of pixels in [0, 1]; before the power."""
    power: float


def draw_view(rng: Generator, amount: Augmentation) -> View:
    """Draw a view."""

    def around(most: float, *shape: int) -> NDArray[np.float64]:
        return np.asarray(rng.uniform(-most, most, shape))

    still = rng.random() < amount.still
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn, scale, aspect = (
        float(around(most)) for most in (math.radians(amount.turn), amount.scale, amount.aspect)
    )
    shift, perspective = around(2 * amount.shift, 2), around(amount.perspective, 2)
    bend = around(2 * amount.bend, 2, BENDS, BENDS)
    matrix = np.diag([mirror, 1.0, 1.0])
    if still:
        bend = np.zeros_like(bend)
    else:
        cosine, sine = math.cos(turn), math.sin(turn)
        turning = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        wide, high = (math.exp(-scale + sign * aspect / 2) for sign in (1, -1))
        moving = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [*perspective, 1]])
        matrix = moving @ turning @ np.diag([wide, high, 1.0]) @ matrix

    gain = (1 + float(around(amount.light))) * (1 + around(amount.tint, 3))
    contrast, saturation = 1 + float(around(amount.contrast)), 1 + float(around(amount.saturation))
    grey = np.tile(LUMA, (3, 1))
    mix = gain[:, None] * (grey + saturation * (np.eye(3) - grey))
    # Contrast turns about middle grey.
    colours = np.column_stack([contrast * mix, np.full(3, 0.5 - contrast * 0.5)])
    return View(matrix, bend, colours, math.exp(float(around(amount.gamma))))


def augment(portraits: Tensor, views: Sequence[View], size: int) -> Tensor:
    """Return B×3×size×size float32, whole levels in [0, 255], on the device of the portraits.

    portraits  B×3×E×E uint8, E ≥ size: larger ones are sampled finely and averaged
    """
    finer = max(1, portraits.shape[-1] // size)
    sampled = F.grid_sample(
        portraits.float(),
        _grid(views, finer * size, portraits.device),
        # Where what is sampled is averaged afterwards, the simpler way does.
        mode="bicubic" if finer == 1 else "bilinear",
        padding_mode="reflection",
        align_corners=False,
    )
    crops = F.avg_pool2d(sampled, finer) if finer > 1 else sampled
    device = crops.device
    mix = torch.tensor(np.stack([view.colours for view in views]), dtype=torch.float32, device=device)
    power = torch.tensor([view.power for view in views], dtype=torch.float32, device=device)
    light = torch.einsum("bij,bjhw->bihw", mix[:, :, :3], crops / 255) + mix[:, :, 3, None, None]
    return light.clamp(0, 1).pow(power[:, None, None, None]).mul(255).round()


def _grid(views: Sequence[View], size: int, device: torch.device) -> Tensor:
    """Return where each pixel of the views lies in the portraits, B×size×size×2 in [−1, 1]."""
    matrices = torch.tensor(np.stack([view.matrix for view in views]), dtype=torch.float32, device=device)
    bends = torch.tensor(np.stack([view.bend for view in views]), dtype=torch.float32, device=device)
    line = (2 * torch.arange(float(size), device=device) + 1) / size - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    flat = torch.stack((x, y, torch.ones_like(x))).reshape(3, -1)
    led = matrices @ flat
    grid = (led[:, :2] / led[:, 2:]).reshape(-1, 2, size, size)
    smooth = F.interpolate(bends, size=(8 * BENDS, 8 * BENDS), mode="bicubic", align_corners=False)
    bent = F.interpolate(smooth, size=(size, size), mode="bilinear", align_corners=False)
    return (grid + bent).permute(0, 2, 3, 1)
