"""Damage to portraits: the ranges used in training, the published chain, and calibration's damage.

`degrade` is the published chain, on which models are measured. Training uses `training.damage`, which does
this and more.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from base.errors import SettingsError

Portrait = NDArray[np.uint8]
"""S×S×3, RGB."""
Crop = NDArray[np.float32]
"""S×S×3 in [0, 1], RGB."""


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ranges to draw from uniformly (after Yang et al. 2021, and Wang et al. 2021, GFPGAN).

    The first five fields parametrise the published chain of blur, shrinking, noise and JPEG. The shares below
    them are of crops that are damaged differently or further; each is drawn independently, so several may
    apply to one crop.
    """

    blur: tuple[float, float] = (0.1, 10.0)
    """σ of the Gaussian blur in pixels of a 512-px crop; narrower or wider crops scale it."""
    downscale: tuple[float, float] = (1.0, 8.0)
    """Factor by which the picture is shrunk, and enlarged at the end."""
    noise: tuple[float, float] = (0.0, 20.0)
    """σ of the Gaussian noise on the small picture, in 8-bit levels."""
    jpeg: tuple[int, int] = (60, 100)
    """JPEG quality of the small picture."""
    untouched: float = 0.12
    """Share of crops left undamaged: the network must return a good crop unchanged."""

    light: float = 0.3
    """Share damaged lightly: blur, shrinking, noise and JPEG from the mild end of their ranges."""
    single: float = 0.3
    """Share that goes through a single step of the chain; otherwise no sharp picture would be noisy."""
    partial: float = 0.25
    """Share for which each step of the chain is kept with probability one half, and at least one remains."""
    shuffled: float = 0.2
    """Share whose steps are applied in random order."""
    other_kernels: float = 0.35
    """Share resized with random kernels instead of area averages and bicubic interpolation."""
    uneven_blur: float = 0.15
    """Share with anisotropic blur."""
    motion: float = 0.08
    """Share with motion blur."""
    motion_length: tuple[float, float] = (4.0, 28.0)
    """Length of the motion, in pixels of a 512-px crop."""
    shot_noise: float = 0.12
    """Share whose noise grows with brightness, like a sensor's."""
    grain: float = 0.1
    """Share with film grain instead of white noise."""
    grain_size: tuple[float, float] = (0.6, 1.6)
    """σ of the grain's spatial correlation, in pixels of the small picture."""
    low_light: float = 0.06
    """Share in low light; the target is equally dark, but without noise."""
    exposure: tuple[float, float] = (0.06, 0.4)
    """Brightness of a crop in low light, relative to the original."""
    grey: float = 0.06
    """Share without colour, in the target too, so that no colours are invented."""
    sepia: float = 0.03
    """Share in sepia, in the target too."""
    scratches: float = 0.04
    """Share with scratches and dust, which are not in the target."""
    uneven_focus: float = 0.1
    """Share whose blur grows from one side of the crop to the other."""
    halftone: float = 0.03
    """Share with a halftone screen."""
    screen: tuple[float, float] = (4.0, 10.0)
    """Period of the dots in pixels of a 512-px crop."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if name not in LIMITS:
                if not 0 <= getattr(self, name) <= 1:
                    raise SettingsError(
                        f"degradation {name} is {getattr(self, name)}: give a share from 0 to 1"
                    )
                continue
            least, most = LIMITS[name]
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise SettingsError(
                    f"degradation {name} is {low:g} to {high:g}: give two numbers from {least:g} to "
                    f"{most:g}, the smaller first"
                )

    def begun(self, part: float) -> "Ranges":
        """Return these ranges with those of the published chain cut to this share from their mild ends."""

        def first(least: float, most: float) -> tuple[float, float]:
            return least, least + part * (most - least)

        worst, best = self.jpeg
        return msgspec.structs.replace(
            self,
            blur=first(*self.blur),
            downscale=first(*self.downscale),
            noise=first(*self.noise),
            jpeg=(round(best - part * (best - worst)), best),
        )


LIMITS: dict[str, tuple[float, float]] = {
    "blur": (0.0, 16.0),
    "downscale": (1.0, 64.0),
    "noise": (0.0, 100.0),
    "jpeg": (1, 100),
    "motion_length": (0.0, 32.0),
    "grain_size": (0.1, 4.0),
    "exposure": (0.01, 1.0),
    "screen": (4.0, 64.0),
}
"""Of the fields that are ranges; the others are shares."""


def degrade(portrait: Portrait, rng: Generator, ranges: Ranges) -> Portrait:
    """Return the portrait after the published chain: blur, shrink, add noise, compress, enlarge.

    Only the first five ranges are used. A generator in the same state gives the same result.
    """
    if rng.random() < ranges.untouched:
        return portrait
    size = len(portrait)
    blur = rng.uniform(*ranges.blur) * size / 512
    small_size = max(8, round(size / rng.uniform(*ranges.downscale)))
    noise = rng.normal(0, rng.uniform(*ranges.noise), (small_size, small_size, 3))
    quality = int(rng.integers(ranges.jpeg[0], ranges.jpeg[1], endpoint=True))
    return through_chain(portrait, blur, small_size, noise, quality)


def through_chain(
    picture: NDArray[Any],
    blur: float,
    small_size: int,
    noise: NDArray[np.float64] | float,
    quality: int | None,
) -> Portrait:
    """Return a picture after blurring, shrinking, adding noise, compressing and enlarging it.

    picture     S×S×3 in levels, RGB: uint8, or float32, which is not rounded before the noise
    blur        σ of the Gaussian, in pixels; 0 does not blur
    small_size  side to which the picture is shrunk, in pixels
    noise       added to the small picture, in levels
    quality     of the JPEG; None does not compress
    """
    size = len(picture)
    if blur:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    if small_size != size:
        picture = cv2.resize(picture, (small_size, small_size), interpolation=cv2.INTER_AREA)
    small = np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
    if quality is not None:
        small = compressed(small, quality)
    if small_size != size:
        small = np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.ascontiguousarray(small)


def compressed(picture: Portrait, quality: int) -> Portrait:
    """Return a picture, H×W×3 uint8 RGB, after encoding it as JPEG and decoding it."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


@dataclass(frozen=True)
class Damage:
    """Ranges from which each kind of damage is drawn uniformly."""

    blur: tuple[float, float]
    """σ in pixels of a crop of 512."""
    shrink: tuple[float, float]
    """Factor by which the picture is shrunk before it is enlarged to its size."""
    noise: tuple[float, float]
    """σ in 8-bit levels, on the small picture."""
    jpeg: tuple[int, int]
    """JPEG quality of the small picture."""


CLEAN = None
DAMAGES = (
    CLEAN,
    Damage(blur=(0, 2), shrink=(1, 1.5), noise=(0, 6), jpeg=(75, 98)),
    Damage(blur=(0, 5), shrink=(1, 4), noise=(0, 12), jpeg=(50, 95)),
    Damage(blur=(2, 10), shrink=(2, 8), noise=(3, 20), jpeg=(30, 90)),
)
"""From none to the strongest damage that blind restoration is commonly trained for."""


def damaged(crop: Crop, damage: Damage | None, rng: Generator) -> Crop:
    """Return a crop after blurring, shrinking, adding noise, compressing and enlarging it, or unchanged."""
    if damage is None:
        return crop
    size = len(crop)
    small_size = max(8, round(size / rng.uniform(*damage.shrink)))
    sigma = max(1e-3, rng.uniform(*damage.blur) * size / 512)
    blurred = cv2.GaussianBlur(crop, (0, 0), sigma)
    small = cv2.resize(blurred, (small_size, small_size), interpolation=cv2.INTER_AREA)
    noise = rng.normal(0, rng.uniform(*damage.noise), small.shape)
    pixels = np.rint(np.clip(small * 255 + noise, 0, 255)).astype(np.uint8)
    quality = int(rng.integers(*damage.jpeg, endpoint=True))
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.float32) / 255
    return np.clip(cv2.resize(decoded, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
