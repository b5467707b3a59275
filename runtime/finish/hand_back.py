"""How much of the photo is handed back to a restored face, and how the face is finished."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.finish.compose import Sigma
from runtime.finish.lines import Lines
from runtime.finish.patch import Patch
from runtime.finish.slight_noise import SlightNoise
from runtime.finish.steps import Step


@dataclass(frozen=True, eq=False)
class HandBack:
    """How much of its photo a face gets back, and how it is finished."""

    kappa: NDArray[np.float32]
    """κ, S×S in [0, 1]: the share that the photo keeps."""

    sigma: Sigma
    """Standard deviation of the noise that is not handed back, in units of full scale; 0 hands noise back
    too."""

    grain: NDArray[np.float32] | None = None
    """σ of the grain that returns in full, by wavelet band and channel; None returns only its share κ."""

    mended: Patch | None = None
    """The photo without its scratches, where they were softened."""

    filled: NDArray[np.float32] | None = None
    """S×S in [0, 1]: where the crop was filled and replaces the photo; None is nowhere."""

    gain: NDArray[np.floating] | float = 1.0
    """Factors that bring the photo's channels to studio light, 3; channels with larger ones have less
    contrast."""

    offset: NDArray[np.floating] | float = 0.0
    """Added after the gain, 3."""

    steps: tuple[Step, ...] = ()
    """The finishing steps of the composed face, in order."""

    multiscale: bool = False
    """Whether the border is blended at several scales."""

    above: NDArray[np.float32] | None = None
    """Noise of the photo's detail above the crop's resolution, by wavelet band and channel; None if the photo
    is no finer than the crop."""

    slight: SlightNoise | None = None
    """Noise of the photo that partly stays; None if none does, or all (grain)."""

    lines: Lines | None = None
    """Lines that were removed with noise; None for none."""

    strength: float = 1.0
    """The share of the way from the photo to the finished face, in (0, 1].

    It scales 1 − κ, and with it noise, grain and all repairs.
    """

    share: NDArray[np.float32] | None = None
    """The same for each pixel of the crop, S×S in [0, 1], on top of the strength; None is 1 everywhere."""
