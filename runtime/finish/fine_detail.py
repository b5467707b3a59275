"""What lies above the crop's resolution: detail of a large face that the network never sees (design §4).

A crop pixel of a large face is several photo pixels wide. What is lost on the way into the crop is the photo
less its crop, laid back over it. That completes what the network makes of the crop, however strongly the face
is restored: without its noise, which the network took out of the rest.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, joined, shift, warp
from runtime.finish.compose import in_colours
from runtime.finish.noise import (
    BAND_NOISE,
    FLAT,
    MEDIAN,
    SUPPORT,
    TEXTURE,
    around_middle,
    middle_of,
    unclipped,
    wavelet,
)
from runtime.pixels import Picture, Pixels

Bands: TypeAlias = NDArray[np.float32]
"""Of the noise in each wavelet band, the finest first, and each colour channel: its standard deviation, of 1.

3×3.
"""

LARGER = 1.0
"""Photo pixels to a crop pixel from which on a face has detail above its crop."""

FALLING = 0.15
"""Texture has this much of the second band's power in the finest one, each by BAND_NOISE: pores, stubble and
hair 0.03 to 0.1 in portraits. White noise has as much in both."""

TINT = 0.75 / 255
"""How much the colours of clean skin differ from pixel to pixel, in each band; noise differs more."""

UNSEEN = 1.5 / 255
"""White noise that nobody sees in studio light: its standard deviation. Pores would go with it."""

NOISE_ALONE, FIRM = 1.5, 2.0
"""A band with less than so many times the noise's power is noise alone, from the second number on there is
detail for certain; between them it comes in smoothly, since few pixels tell a band's power roughly."""

AROUND = 5
"""Side of the square in which a band's power is measured, in pixels."""

REACH = SUPPORT + AROUND // 2
"""How far around a pixel the photo is looked at, in pixels."""

QUIETEST = 0.1
"""A channel with less noise than so much of the noisiest one's counts as this noisy when they are pooled."""

LEAST = 1e-6
"""Noise under this, of 1, is none."""

WHOLE: Bands = np.zeros((len(BAND_NOISE), 3), np.float32)
"""Nothing of the detail is noise."""

MUCH = 3 / 255
"""Root mean square of the detail above the crop that is worth a word: sharp portraits twice as fine as their
crop have 4 to 8 levels, the same enlarged from the crop's size 2."""


@dataclass(frozen=True, eq=False)
class Above:
    """What a face holds above its crop's resolution."""

    noise: Bands
    """Of the photo, in each wavelet band and colour channel."""
    detail: float
    """Root mean square of what is not noise, of 1."""

    @property
    def is_much(self) -> bool:
        """Return whether it is worth a word."""
        return self.detail >= MUCH


def find_above(photo: Pixels, aligned: AlignedFace, gain: NDArray[np.floating] | float = 1.0) -> Above | None:
    """Return what a face holds above its crop's resolution; None where the photo is no finer than the crop.

    Looks at the middle of the face only, so that a large one costs no more.

    photo    H×W×3 uint8 or uint16 RGB, not enlarged
    aligned  a face of that photo
    gain     what brings its channels to studio light, 3
    """
    picture = around_middle(photo, aligned)
    if not (aligned.scale > LARGER and picture.size):
        return None
    x, y, *_ = middle_of(aligned)
    size = (picture.shape[1], picture.shape[0])
    to_picture = joined(shift(-x, -y), aligned.to_photo)
    seen = warp(aligned.crop, to_picture, size, border=cv2.BORDER_REPLICATE)
    noise = noise_bands(picture, gain)
    return Above(noise, float(np.sqrt(np.mean(np.square(above_crop(picture, seen, noise))))))


def above_crop(own: Picture, seen: Picture, noise: Bands) -> Picture:
    """Return what of the photo lies above the crop's resolution, without its noise.

    Each wavelet band keeps the share of its power that is not noise, found in the surroundings of each pixel:
    the empirical Wiener filter, J. S. Lee, "Digital image enhancement and noise filtering by use of local
    statistics", IEEE PAMI 2(2), 1980. Single pixels tell too little: their texture is no larger than noise.

    own    H×W×3 in [0, 1], the photo
    seen   the same part of its crop, laid over the photo
    noise  of the photo; all 0 keeps noise as well (grain)
    """
    lost = own - seen
    if noise.any():
        *bands, kept = wavelet(lost)
        for band, sigma in zip(bands, noise, strict=True):
            kept += in_colours(local_gain(band, sigma)) * band
        lost = kept
    return lost


def local_gain(band: Picture, sigma: NDArray[np.float32], around: int = AROUND) -> NDArray[np.float32]:
    """Return, H×W, the share of a band that is not noise; each channel's power counts in units of its noise.

    sigma   of the band's noise in each channel, 3
    around  side of the square in which the band's power is measured, in pixels
    """
    unit = np.maximum(sigma, max(QUIETEST * sigma.max(), LEAST))
    power = cv2.blur(cv2.transform(band * band, 1 / (3 * unit[None] ** 2)), (around, around))
    noise = np.float32(max(float(np.mean((sigma / unit) ** 2)), LEAST**2))
    sure = np.clip((power / noise - NOISE_ALONE) / (FIRM - NOISE_ALONE), 0, 1)
    share = np.maximum(power - noise, 0) / np.maximum(power, noise)
    return np.asarray(share * sure * sure * (3 - 2 * sure), np.float32)


def noise_bands(picture: Picture, gain: NDArray[np.floating] | float = 1.0) -> Bands:
    """Return the noise of a picture, H×W×3, in each wavelet band and colour channel: 0 for one without.

    Two things tell noise from texture. It is white, while texture has ever less power in finer bands; and it
    differs between the colours, while pores, stubble and hair darken all of them alike. Grain that does
    neither cannot be told from pores, and is not counted.

    gain  what brings its channels to studio light, 3, in which texture is alike in all
    """
    shown = unclipped(picture)
    if not shown.any():
        return WHOLE
    to_studio = np.asarray(np.broadcast_to(gain, 3), np.float32)
    *bands, _ = wavelet(picture * to_studio)
    structure = cv2.blur(np.sum([_power(band) for band in bands[1:]], axis=0), (9, 9))
    flat = shown & (structure <= np.quantile(structure[shown], FLAT))
    places = [np.compress(flat.ravel(), band.reshape(-1, 3), axis=0) for band in bands]
    units = np.array(BAND_NOISE)[:, None]
    finest, second, _ = np.array([_deviation(band) for band in places]) / units
    white = (finest**2 - FALLING * second**2) / (1 - FALLING) - TEXTURE**2
    tinted = np.array([_tint(band) for band in places]) - np.maximum(TINT, units * UNSEEN) ** 2
    noise = np.sqrt(np.maximum(np.maximum(units**2 * white, tinted), 0))
    return np.asarray(noise / to_studio, np.float32)


def enlarged_noise(noise: Bands, upscale: int) -> Bands:
    """Return the noise of a photo as it lies in each wavelet band once the photo is enlarged by a factor."""
    if upscale == 1:
        return noise
    # What was in the finer bands is in the coarser ones now.
    sigma = (noise / np.array(BAND_NOISE)[:, None]).max(axis=0)
    return np.asarray(np.outer(_enlarged_units(upscale), sigma), np.float32)


def _power(band: Picture) -> Picture:
    return np.asarray(cv2.transform(band * band, np.ones((1, 3), np.float32)), np.float32)


def _deviation(values: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """Return the standard deviation of values around 0, N×3, by their median (Donoho and Johnstone, 1994)."""
    return np.asarray(np.median(np.abs(values), axis=0) / MEDIAN)


def _tint(colours: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """Return the variance of a band's noise in each channel, by how its colours, N×3, differ.

    Two channels differ by the sum of their variances, so three differences tell them all.
    """
    red, green, blue = colours.T
    others = _deviation(np.stack([green - blue, blue - red, red - green], axis=1)) ** 2
    return np.asarray(others.sum() / 2 - others)


@lru_cache(maxsize=4)
def _enlarged_units(upscale: int) -> tuple[float, ...]:
    """Return what white noise of σ = 1 leaves in each wavelet band, enlarged by a factor as photos are."""
    noise = np.random.default_rng(0).normal(0, 1, (128, 128, 3)).astype(np.float32)
    larger = cv2.resize(noise, None, fx=upscale, fy=upscale, interpolation=cv2.INTER_LANCZOS4)
    return tuple(float(band.std()) for band in wavelet(np.asarray(larger, np.float32))[:-1])
