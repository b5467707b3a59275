"""What a restored face gets back of its photo, and how it is finished."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.finish.compose import Sigma
from runtime.finish.patch import Patch
from runtime.finish.steps import Step


@dataclass(frozen=True, eq=False)
class HandBack:
    """What a face gets back of its photo, and how it is finished."""

    kappa: NDArray[np.float32]
    """κ, S×S in [0, 1]: the share that is left to the photo."""

    sigma: Sigma
    """Standard deviation of the noise that is held back, of 1; 0 hands noise back as well (grain)."""

    grain: NDArray[np.float32] | None = None
    """Of the grain that returns whole, in each wavelet band and channel; None keeps no more of it than κ."""

    mended: Patch | None = None
    """The photo without its scratches, where they were softened."""

    filled: NDArray[np.float32] | None = None
    """S×S in [0, 1]: where the crop was filled, and the photo is taken to be as the crop; None is nowhere."""

    gain: NDArray[np.floating] | float = 1.0
    """What brings the photo's channels to studio light, 3: contrast is fainter in channels that need more."""

    offset: NDArray[np.floating] | float = 0.0
    """What is added after it, 3."""

    steps: tuple[Step, ...] = ()
    """What is done to the face once it is composed, in this order."""

    multiscale: bool = False
    """The border is blended at several scales."""

    above: NDArray[np.float32] | None = None
    """Of the noise in each wavelet band and channel of what lies above the crop's resolution, which is the
    photo's; None where the photo is no finer than the crop."""

    strength: float = 1.0
    """The share of the way from the photo to the finished face that is gone, in (0, 1].

    It multiplies 1 − κ, and noise, grain and all repairs with it.
    """
