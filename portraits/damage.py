"""What time and cameras do to a face: the ranges of training, the published chain, and calibration's damage.

`degrade` is the published chain: what a model is measured by. Training goes through `training.damage`, which
does the same and more.
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
    """The ranges to draw from, uniformly (after Yang et al. 2021 and Wang et al. 2021, GFPGAN).

    The shares below the first five are of crops that get something else or more than the published chain of
    blur, shrinking, noise and JPEG; each is drawn on its own, so a crop may have several.
    """

    blur: tuple[float, float] = (0.1, 10.0)
    """σ of the Gaussian blur in pixels of a 512-px crop; narrower or wider crops scale it."""
    downscale: tuple[float, float] = (1.0, 8.0)
    """Factor by which the picture is shrunk, and enlarged again at the end."""
    noise: tuple[float, float] = (0.0, 20.0)
    """σ of the Gaussian noise on the small picture, in 8-bit levels."""
    jpeg: tuple[int, int] = (60, 100)
    """JPEG quality of the small picture."""
    untouched: float = 0.12
    """Share of crops that stay as they are: what is good must come back as it was."""

    light: float = 0.3
    """Share damaged lightly: blur, shrinking, noise and JPEG from the mild end of their ranges."""
    single: float = 0.3
    """Share that goes through one step of the chain alone: only so is a sharp picture noisy."""
    partial: float = 0.25
    """Share that is spared one or more steps of the chain, each with even chances."""
    shuffled: float = 0.2
    """Share whose steps come in any order."""
    other_kernels: float = 0.35
    """Share shrunk and enlarged by any kernel, in place of area averages and bicubic interpolation."""
    uneven_blur: float = 0.15
    """Share whose blur differs by direction."""
    motion: float = 0.08
    """Share blurred by a movement."""
    motion_length: tuple[float, float] = (4.0, 28.0)
    """Of the movement, in pixels of a 512-px crop."""
    shot_noise: float = 0.12
    """Share whose noise grows with the light, as a sensor's."""
    grain: float = 0.1
    """Share with film grain in place of white noise."""
    grain_size: tuple[float, float] = (0.6, 1.6)
    """σ of the grain's correlation in pixels of the small picture."""
    low_light: float = 0.06
    """Share taken in the dark; the target is as dark, without the noise."""
    exposure: tuple[float, float] = (0.06, 0.4)
    """Of a crop in low light, as a share of the light."""
    grey: float = 0.06
    """Share without colour, the target neither: colours are not invented."""
    sepia: float = 0.03
    """Share toned sepia, the target too."""
    scratches: float = 0.04
    """Share with scratches and dust, which the target does not have."""
    uneven_focus: float = 0.1
    """Share whose blur grows from one side of the crop to the other."""
    halftone: float = 0.03
    """Share printed through a screen of dots."""
    screen: tuple[float, float] = (4.0, 10.0)
    """Period of the dots in pixels of a 512-px crop."""

    def __post_init__(self) -> None:
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"degradation {name} is {getattr(self, name)}: give a share from 0 to 1")
        for name, (least, most) in LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise SettingsError(
                    f"degradation {name} is {low:g} to {high:g}: give two numbers from {least:g} to "
                    f"{most:g}, the smaller first"
                )

    def begun(self, part: float) -> "Ranges":
        """Return the same with that part, from the mild end, of what the published chain draws from."""

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


SHARES = (
    "untouched",
    "light",
    "single",
    "partial",
    "shuffled",
    "other_kernels",
    "uneven_blur",
    "motion",
    "shot_noise",
    "grain",
    "low_light",
    "grey",
    "sepia",
    "scratches",
    "uneven_focus",
    "halftone",
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


def degrade(portrait: Portrait, rng: Generator, ranges: Ranges) -> Portrait:
    """Return the portrait blurred, shrunk, noisy, compressed and enlarged again: the published chain.

    Of the ranges only the first five count here; the same generator always gives the same result.
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
    """Return a picture blurred, shrunk, noisy, compressed and enlarged again.

    picture     S×S×3 in levels, RGB: uint8, or float32, which is not rounded before the noise
    blur        σ of the Gaussian, in pixels; 0 does not blur
    small_size  to which the picture is shrunk
    noise       is added to the small picture, in levels
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
    """Return a picture, H×W×3 uint8 RGB, as it comes back from a JPEG file."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


@dataclass(frozen=True)
class Damage:
    """Ranges that each kind of damage is drawn from, evenly."""

    blur: tuple[float, float]
    """σ in pixels of a crop of 512."""
    shrink: tuple[float, float]
    """Factor by which the picture has been smaller."""
    noise: tuple[float, float]
    """σ in 8-bit levels, on the small picture."""
    jpeg: tuple[int, int]
    """Quality, of the small picture."""


CLEAN = None
DAMAGES = (
    CLEAN,
    Damage(blur=(0, 2), shrink=(1, 1.5), noise=(0, 6), jpeg=(75, 98)),
    Damage(blur=(0, 5), shrink=(1, 4), noise=(0, 12), jpeg=(50, 95)),
    Damage(blur=(2, 10), shrink=(2, 8), noise=(3, 20), jpeg=(30, 90)),
)
"""From none to strong; the strong is the worst that blind restoration is commonly trained for."""


def damaged(crop: Crop, damage: Damage | None, rng: Generator) -> Crop:
    """Return a crop blurred, shrunk, noisy, compressed and enlarged again; or itself."""
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
