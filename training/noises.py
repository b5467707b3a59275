"""Noise of sensors and films."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from training.blurring import Blur, blur

NoiseKind: TypeAlias = Literal["white", "shot", "grain", "dark"]


@dataclass(frozen=True)
class Noise:
    """The noise of one crop."""

    kind: NoiseKind
    """`white`: everywhere the same; `shot`: growing with the light; `grain`: correlated, strongest in the
    middle tones; `dark`: shot noise and coarse levels of a picture taken in the dark and brightened."""
    sigma: float
    """In 8-bit levels; of all but white noise, at middle grey."""
    coloured: bool = True
    grain_size: float = 1.0
    """σ of the grain's correlation, pixels."""
    gain: float = 1.0
    """By which a dark picture was brightened."""


def add_noise(crops: Tensor, noises: Sequence[Noise], generator: torch.Generator) -> Tensor:
    """Return noisy crops, B×3×S×S, levels in [0, 255], rounded; the generator is of their device."""
    white = torch.randn(crops.shape, generator=generator, device=crops.device)
    white = torch.where(_column(crops, [float(n.coloured) for n in noises]) > 0, white, white[:, :1])
    field = white * _column(crops, [n.sigma for n in noises])
    noisy = crops.clone()
    for kind in sorted({noise.kind for noise in noises}):
        members = [i for i, noise in enumerate(noises) if noise.kind == kind]
        chosen = [noises[i] for i in members]
        noisy[members] = _of_kind(kind, crops[members], field[members], chosen)
    return noisy.round().clamp(0, 255)


def _of_kind(kind: NoiseKind, crops: Tensor, field: Tensor, noises: Sequence[Noise]) -> Tensor:
    if kind == "white":
        return crops + field
    if kind == "shot":
        return crops + field * _shot(crops)
    if kind == "grain":
        light = (crops / 255).clamp(0, 1)
        return crops + _correlated(field, noises) * (4 * light * (1 - light)).sqrt()
    gain = _column(crops, [noise.gain for noise in noises])
    dark = crops / gain
    # Sensors also have a noise that is there without light.
    taken = (dark + field / gain * (_shot(crops) + 0.3)).round().clamp(0, 255)
    return taken * gain


def _shot(crops: Tensor) -> Tensor:
    """Return the standard deviation, 1 at middle grey: the variance of a number of photons is its mean."""
    return (crops.clamp(min=0) / 127.5).sqrt()


def _correlated(field: Tensor, noises: Sequence[Noise]) -> Tensor:
    smooth = blur(field, [Blur(noise.grain_size, noise.grain_size, 0.0) for noise in noises])
    spread = smooth.square().mean((1, 2, 3), keepdim=True).sqrt()
    return smooth * (field.square().mean((1, 2, 3), keepdim=True).sqrt() / spread.clamp(min=1e-6))


def _column(crops: Tensor, values: Sequence[float]) -> Tensor:
    """Return one value for each crop, B×1×1×1."""
    return torch.tensor(values, device=crops.device)[:, None, None, None]
