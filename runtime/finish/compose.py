"""Hand part of the photo back to a restored face: its texture, but not its noise."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.noise import BAND_NOISE, wavelet
from runtime.pixels import Picture, smoothstep

Sigma: TypeAlias = float | NDArray[np.float32]
"""A standard deviation: one for all colour channels, or one for each, 3."""

CORING = 1.5
"""Coefficients of this many σ are halved."""

UNCORED = 0.1
"""Coring fades out over this distance of κ from 1, so that weight 0 keeps pixels without a visible border."""


def compose(photo: Picture, restored: Picture, kappa: NDArray[np.float32], sigma: Sigma) -> Picture:
    """Return photo′ = r↑ + κ↑ ⊙ C_σ(photo − r↑).

    Where κ is 0 this is exactly the restored pixel, and where κ is 1 exactly the photo's: coring fades out as
    κ approaches 1. Each pixel depends on those within SUPPORT of it.

    photo, restored  H×W×3 in [0, 1]
    kappa            H×W in [0, 1]
    sigma            of the photo's noise, in units of full scale; 0 hands noise back as well (grain)
    """
    if not kappa.any():
        return restored
    kappa = in_colours(kappa)
    held_back = noise_of(photo - restored, sigma)
    held_back *= repair_share(kappa)
    return (1 - kappa) * restored + kappa * (photo - held_back)


def in_colours(values: NDArray[np.float32]) -> Picture:
    """Return a map, H×W, repeated to H×W×3, since NumPy is slow to broadcast along so short an axis."""
    return np.asarray(cv2.merge([values] * 3), np.float32)


def repair_share(kappa: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the strength of repairs where the share κ is left to the photo: 0 at κ = 1, rising quickly to
    1."""
    return np.asarray(smoothstep((1 - kappa) / UNCORED), np.float32)


def noise_of(difference: Picture, sigma: Sigma) -> Picture:
    """Return difference − C_σ(difference), the noise that coring removes: (1 − gain) of each band.

    Each colour channel is cored separately.
    """
    noise = np.zeros_like(difference)
    if np.any(sigma):
        *bands, _ = wavelet(difference)
        for band, band_noise in zip(bands, BAND_NOISE, strict=True):
            noise += (1 - wiener_gain(band, band_noise * sigma)) * band
    return noise


def wiener_gain(c: NDArray[np.float32], sigma: Sigma) -> NDArray[np.float32]:
    """Return the gain of a coefficient c, c² / (c² + (1.5 σ)²), in [0, 1], where σ is the noise of its
    band."""
    power = c * c
    total = power + np.maximum(np.float32((CORING * sigma) ** 2), np.finfo(np.float32).tiny)
    return np.asarray(np.divide(power, total, out=power), np.float32)
