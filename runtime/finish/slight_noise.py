"""Keep some of a photo's noise where removing it gains little.

A photo and its restored face are two estimates of the truth. The error of the photo is its noise; that of the
restored face is texture that was taken for noise, and it hardly depends on how strong the noise is. The best
mean of two independent estimates weighs each by the inverse of its variance. So strong noise goes almost
completely, while slight noise, as every camera's, mostly stays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.faces.noise import BAND_NOISE
from runtime.finish.fine_detail import Bands, enlarged_noise
from runtime.finish.grain import grain_of
from runtime.pixels import Picture

ERROR = np.array([[2.2], [1.0], [0.6]], np.float32) / 255
"""Root mean square error of restored faces in each wavelet band, in studio light. A regression on portraits
of 256 and 512 pixels with noise of σ 2 to 10 gave a quarter more, but the portraits with the largest errors
have noise of their own."""


@dataclass(frozen=True, eq=False)
class SlightNoise:
    """Noise of a photo that partly stays."""

    sigma: Bands
    """Of the noise in each wavelet band and colour channel."""
    share: Bands
    """The share that stays, in [0, 1]."""
    above: bool
    """Whether only noise above the crop's resolution stays."""

    def of(self, removed: Picture) -> Picture:
        """Return the noise that stays.

        removed  H×W×3, the photo minus what is restored: noise, and what is larger
        """
        return grain_of(removed, self.sigma, self.share)


def slight_noise(
    noise: NDArray[np.float32],
    gain: NDArray[np.floating] | float,
    trust: float = 1.0,
    upscale: int = 1,
    *,
    above: bool = False,
) -> SlightNoise | None:
    """Return the noise of a photo that partly stays; None if there is none.

    noise    its σ in each channel, 3, in units of full scale
    gain     factors that bring the channels to studio light, 3
    trust    the degree to which noise is the photo's only damage, 0 to 1
    upscale  the photo will be enlarged by this factor
    above    whether only noise above the crop's resolution stays
    """
    if not (noise.any() and trust):
        return None
    sigma = np.asarray(np.outer(BAND_NOISE, noise), np.float32)
    share = np.float32(trust) * ERROR**2 / (ERROR**2 + (sigma * np.asarray(gain)) ** 2)
    return SlightNoise(enlarged_noise(sigma, upscale), np.asarray(share, np.float32), above)
