"""Blur in the frequency domain: round, uneven and by movement, a different one for each crop of a batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PAD = 8
"""The border that is mirrored before the transform is S/PAD wide: three σ of 16 pixels in 512 fit in."""


@dataclass(frozen=True)
class Blur:
    """A Gaussian and, over it, a movement in a straight line; lengths in pixels of the picture blurred."""

    along: float
    """σ along the angle."""
    across: float
    """σ across it."""
    angle: float
    """Radians, of the Gaussian's long axis and of the movement."""
    length: float = 0.0
    """Of the movement; 0 is none."""


def blur(crops: Tensor, blurs: Sequence[Blur]) -> Tensor:
    """Return B×C×S×S blurred; beyond the edge a crop is mirrored.

    A Gaussian of σ is exp(−2π²σ²f²) over frequencies f, a movement of length L is sinc(L f): the transfer
    functions are exact, also for a σ far below one pixel.
    """
    size = crops.shape[-1]
    pad = size // PAD
    padded = F.pad(crops, (pad,) * 4, mode="reflect")
    side = padded.shape[-1]
    spectrum = torch.fft.rfft2(padded) * transfer(blurs, side, crops.device)[:, None]
    blurred: Tensor = torch.fft.irfft2(spectrum, s=(side, side))
    return blurred[..., pad : pad + size, pad : pad + size].contiguous()


def transfer(blurs: Sequence[Blur], side: int, device: torch.device) -> Tensor:
    """Return the transfer functions over the frequencies of `rfft2` of side×side, B×side×(side/2+1)."""
    rows = [(b.along, b.across, math.cos(b.angle), math.sin(b.angle), b.length) for b in blurs]
    along, across, cosine, sine, length = torch.tensor(rows).T[:, :, None, None].to(device)
    y = torch.fft.fftfreq(side, device=device)[:, None]
    x = torch.fft.rfftfreq(side, device=device)[None, :]
    u, v = cosine * x + sine * y, cosine * y - sine * x
    gaussian = torch.exp(-2 * math.pi**2 * ((along * u).square() + (across * v).square()))
    return gaussian * torch.sinc(length * u)
