"""A small U-Net that finds the pixels of a face that are covered."""

import torch
from torch import Tensor, nn

WIDTHS = (16, 24, 32, 48)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the input's resolution."""


def _block(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class CoveredNet(nn.Module):
    """B×3×N×N in [0, 1] → B×1×N/2×N/2, the logarithm of the odds that a pixel is covered."""

    def __init__(self) -> None:
        """Make it with random weights."""
        super().__init__()
        ways = (3, *WIDTHS)
        self.down = nn.ModuleList(
            nn.Sequential(_block(before, after, 2, 5 if before == 3 else 3), _block(after, after))
            for before, after in zip(ways, WIDTHS, strict=False)
        )
        self.deep = nn.Sequential(_block(WIDTHS[-1], 64, 2), _block(64, 64), _block(64, WIDTHS[-1]))
        self.up = nn.ModuleList(
            _block(2 * width, after) for width, after in zip(WIDTHS[::-1], (*WIDTHS[-2::-1], 16), strict=True)
        )
        self.out = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the logarithm of the odds."""
        x, seen = picture * 2 - 1, []
        for down in self.down:
            x = down(x)
            seen.append(x)
        x = self.deep(x)
        for up, skip in zip(self.up, seen[::-1], strict=True):
            x = up(torch.cat([nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))
        odds: Tensor = self.out(x)
        return odds
