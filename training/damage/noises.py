"""Noise of sensors, films and prints."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator

from training.damage.blurring import Picture

NoiseKind: TypeAlias = Literal["white", "shot", "grain", "dark"]


@dataclass(frozen=True)
class Noise:
    """The noise of one picture."""

    kind: NoiseKind
    """`white`: equal everywhere; `shot`: growing with the light; `grain`: correlated, strongest in the middle
    tones; `dark`: shot noise and coarse levels of a picture taken in the dark and brightened.
    """
    sigma: float
    """In 8-bit levels; at middle grey, except for white noise."""
    coloured: bool = True
    grain_size: float = 1.0
    """Standard deviation of the grain's correlation, in pixels."""
    gain: float = 1.0
    """Factor by which a dark picture was brightened."""


def add_noise(picture: Picture, noise: Noise, rng: Generator) -> Picture:
    """Return a noisy picture, H×W×3, rounded to whole levels in [0, 255]."""
    height, width = picture.shape[:2]
    field = rng.standard_normal((height, width, 3 if noise.coloured else 1), np.float32)
    if not noise.coloured:
        field = np.repeat(field, 3, axis=2)
    field *= np.float32(noise.sigma)
    if noise.kind == "white":
        noisy = picture + field
    elif noise.kind == "shot":
        noisy = picture + field * _shot(picture)
    elif noise.kind == "grain":
        light = np.clip(picture / 255, 0, 1)
        noisy = picture + _correlated(field, noise.grain_size) * np.sqrt(4 * light * (1 - light))
    else:
        dark = picture / np.float32(noise.gain)
        # Sensors also have noise that does not depend on the light.
        taken = np.rint(dark + field / np.float32(noise.gain) * (_shot(picture) + 0.3))
        noisy = np.clip(taken, 0, 255) * np.float32(noise.gain)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.float32)


def _shot(picture: Picture) -> Picture:
    """Return the standard deviation, 1 at middle grey: the variance of a photon count is its mean."""
    return np.asarray(np.sqrt(np.maximum(picture, 0) / 127.5), np.float32)


def _correlated(field: Picture, size: float) -> Picture:
    smooth = cv2.GaussianBlur(field, (0, 0), size, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth * (field.std() / max(float(smooth.std()), 1e-6)), np.float32)
