"""Fine detail of large faces: detail above the crop's resolution, which the network never sees.

A crop pixel of a large face is several photo pixels wide. The detail lost by cutting out the crop is the
photo minus the crop, warped back onto the photo. It is denoised and added to the restored face, however
strongly that is restored.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, joined, shift, warp
from runtime.faces.noise import (
    BAND_NOISE,
    FLAT,
    MEDIAN,
    SUPPORT,
    TEXTURE,
    around_middle,
    enlarged_white_noise,
    middle_of,
    unclipped,
    wavelet,
)
from runtime.finish.compose import in_colours
from runtime.pixels import Picture, Pixels

Bands: TypeAlias = NDArray[np.float32]
"""Standard deviation of the noise in units of full scale, by wavelet band (the finest first) and colour
channel.

3×3.
"""

LARGER = 0.5
"""Photo pixels per crop pixel above which cutting out a crop loses detail: below 1 only by resampling."""

FALLING = 0.15
"""Power of texture in the finest band relative to the second, each divided by its BAND_NOISE: 0.03 to 0.1 for
pores, stubble and hair in portraits. For white noise the ratio is 1."""

TINT = 0.75 / 255
"""Difference between the colour channels of clean skin in each band; noise differs more."""

UNSEEN = 1.5 / 255
"""Standard deviation of white noise that is invisible in studio light; removing it would remove pores too."""

NOISE_ALONE, FIRM = 1.5, 2.0
"""Ratios of a band's power to the noise's: below the first the band counts as noise alone, above the second
as certain detail. Between them detail fades in, since the power measured from few pixels is rough."""

AROUND = 5
"""Side of the window in which a band's power is measured, in pixels."""

REACH = SUPPORT + AROUND // 2
"""How far around a pixel the photo is read, in pixels."""

QUIETEST = 0.1
"""When channels are pooled, each counts as having at least this share of the noisiest channel's noise."""

LEAST = 1e-6
"""Noise below this, in units of full scale, is treated as none."""

WHOLE: Bands = np.zeros((len(BAND_NOISE), 3), np.float32)
"""No noise in any band."""

MUCH = 3 / 255
"""Root mean square of fine detail that is worth a warning: sharp portraits twice as large as their crop have
4 to 8 levels, and the same portraits enlarged from the crop's size 2."""

FINER = 1.4
"""Photo pixels per crop pixel from which half of the photo's detail lies above the crop, and a warning makes
sense. Below 1, as of a sharp small face, what a crop loses was lost by resampling, up to 4 levels."""


@dataclass(frozen=True, eq=False)
class Above:
    """The detail of a face above its crop's resolution."""

    noise: Bands
    """Of the photo's noise, in each wavelet band and colour channel."""
    detail: float
    """Root mean square of the detail without noise, in units of full scale."""
    scale: float
    """Photo pixels per crop pixel."""

    @property
    def is_much(self) -> bool:
        """Return whether the detail is worth a warning."""
        return self.scale >= FINER and self.detail >= MUCH


def find_above(photo: Pixels, aligned: AlignedFace, gain: NDArray[np.floating] | float = 1.0) -> Above | None:
    """Measure a face's detail above its crop's resolution; None if the photo is no finer than the crop.

    Only the middle of the face is measured, so that large faces take no longer.

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
    detail = float(np.sqrt(np.mean(np.square(above_crop(picture, seen, noise)))))
    return Above(noise, detail, aligned.scale)


def above_crop(own: Picture, seen: Picture, noise: Bands) -> Picture:
    """Return the photo's detail above the crop's resolution, without its noise.

    Each wavelet band keeps the share of its power that is not noise, measured around each pixel: the
    empirical Wiener filter, J. S. Lee, "Digital image enhancement and noise filtering by use of local
    statistics", IEEE PAMI 2(2), 1980. A window is needed because the texture of a single pixel is no stronger
    than the noise.

    own    H×W×3 in [0, 1], the photo
    seen   the same part of the crop, warped onto the photo
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
    """Return the share of a band that is not noise, H×W; the power of each channel is divided by its noise.

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
    """Return the noise of a picture, H×W×3, in each wavelet band and colour channel; 0 if it has none.

    Two things distinguish noise from texture. Noise is white, while texture has less power in finer bands;
    and noise differs between colour channels, while pores, stubble and hair darken all of them equally.
    Grain with neither property cannot be distinguished from pores, and is not counted.

    gain  brings the channels to studio light, 3, in which texture is equal in all of them
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
    """Return a photo's noise in each wavelet band after the photo has been enlarged by a factor."""
    if upscale == 1:
        return noise
    # Enlarging moves noise from finer bands to coarser ones.
    sigma = (noise / np.array(BAND_NOISE)[:, None]).max(axis=0)
    return np.asarray(np.outer(_enlarged_units(upscale), sigma), np.float32)


def _power(band: Picture) -> Picture:
    return np.asarray(cv2.transform(band * band, np.ones((1, 3), np.float32)), np.float32)


def _deviation(values: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """Return the standard deviation of values around 0, N×3, by their median (Donoho and Johnstone, 1994)."""
    return np.asarray(np.median(np.abs(values), axis=0) / MEDIAN)


def _tint(colours: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """Return the variance of a band's noise in each channel, from the differences of its colours, N×3.

    The variance of the difference of two channels is the sum of their variances, so three differences
    determine all three.
    """
    red, green, blue = colours.T
    others = _deviation(np.stack([green - blue, blue - red, red - green], axis=1)) ** 2
    return np.asarray(others.sum() / 2 - others)


@lru_cache(maxsize=4)
def _enlarged_units(upscale: int) -> tuple[float, ...]:
    """Return the σ of enlarged white noise in each wavelet band."""
    return tuple(float(band.std()) for band in wavelet(enlarged_white_noise(upscale))[:-1])
