"""Give a restored face the grain of its photo.

Handing back the share κ of the difference returns only κ² of the grain's variance, a twentieth with
`film-scan`. Grain is therefore returned in full: in each wavelet band, the coefficients that are no larger
than the photo's grain in that band. Larger coefficients are structure, of which only the share κ returns.
"""

import numpy as np
from numpy.typing import NDArray

from runtime.faces.noise import BAND_NOISE, wavelet
from runtime.pixels import Picture

OUTSTANDING = 3.0
"""Coefficients of this many σ count as half grain, half structure."""

LEAST = np.float32(1e-6)
"""Grain below this, in units of full scale, is treated as none."""

WHOLE = np.ones((len(BAND_NOISE), 3), np.float32)
"""All grain, in every band."""


def grain_of(
    difference: Picture, sigmas: NDArray[np.float32], shares: NDArray[np.float32] = WHOLE
) -> Picture:
    """Return the part of a difference, photo − restored, that is the photo's grain.

    sigmas  of the photo's grain in each wavelet band and colour channel, as `grain_sigmas` measures them
    shares  the share of the grain to return, in each wavelet band and colour channel
    """
    *bands, _ = wavelet(difference)
    grain = np.zeros_like(difference)
    for c, sigma, share in zip(bands, sigmas, shares, strict=True):
        if np.any(sigma):
            squared = np.square(c / np.maximum(np.float32(OUTSTANDING) * sigma, LEAST))
            grain += share * c / (1 + np.square(squared))  # squared twice, because ** 4 is many times slower
    return grain
