"""How far a network's picture of a face is trusted: a hardly damaged crop keeps its own pixels.

A network errs everywhere a little: it takes pores for noise and softens lashes. Where that is more than it
mends, the photo is better. What the network changes in a wavelet band is the damage, which it takes away, and
its own error. The damage is measured; what is more than that is error, and is taken back: the empirical
Wiener filter of `fine_detail`, below the crop's resolution.

Not where the network sharpens: what a blurred photo lacks is no error. The network itself tells blur, by how
much steeper it draws edges. Nor where a photo falls apart into the blocks of JPEG.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, cut_out
from runtime.finish.compose import in_colours
from runtime.finish.fine_detail import LEAST, Bands, local_gain, noise_bands
from runtime.finish.grain import grain_sigmas
from runtime.finish.noise import BAND_NOISE, around_middle, wavelet
from runtime.pixels import Picture, Pixels, smoothstep

SOFT, SHARP = 0.90, 0.97
"""The steepness of the photo's edges, in that of the network's: under the first a face is blurred, so that
sharpening it wins; from the second on it is as sharp as the network would draw it. Found with portraits of
two sizes, blurred by 0.4 to 4 pixels: up to 0.93 the network's picture is the nearer one."""

EDGES = 0.2
"""The share of the face that counts as edges."""

MIDDLE = (0.25, 0.8)
"""Where in a crop its face lies, of its side, in both axes."""

PORES = np.array([[5.6], [3.8], [2.5]], np.float32) / 255
"""Up to so much in each wavelet band, colourless texture is taken for pores."""

GREY_PORES = 0.65
"""Share of that in a photo without colour: mostly film, and colours do not tell its grain from pores."""

GRAIN = 1.3
"""Where one of the two finer bands has this many times as much, all bands' texture is grain; between the two
it is by shares. The third band does not tell: in clean portraits wrinkles have as much there."""

UNEVEN = 1.3
"""So many times the measured grain is held back: a few pixels hold now many grains, now none."""

PORES_SEEN = (0.6, 1.0)
"""Photo pixels per pixel of the crop at which pores begin to be seen, and at which they are: a smaller face
shows none, and its texture is grain."""

AROUND = 7
"""Side of the square in which the power of a change is measured, in pixels of the crop."""

AMPLY = 1.1
"""So many times the measured white noise is held back: of too little, some comes back with the detail."""

PLAIN_SHARE = 1.2
"""In the plainest places at most this times less noise is measured than there is."""

BLOCKS_SEEN, BLOCKS = 0.12, 0.3
"""How much more neighbouring pixels differ across the borders of 8×8 blocks than within them: under the
first no block is seen, from the second on they are what the network should take away."""


def trusted(
    photo: Pixels, aligned: AlignedFace, restored: Picture, gain: NDArray[np.floating] | float = 1.0
) -> Picture:
    """Return what the network made of a crop, with what it took away though it was no damage: S×S×3.

    photo     H×W×3 uint8 or uint16 RGB, not enlarged
    aligned   a face of that photo
    restored  S×S×3 in [0, 1], what the network made of its crop
    gain      what brings the photo's channels to studio light, 3
    """
    own = around_middle(photo, aligned)
    if not own.size:
        return restored
    to_studio = np.asarray(np.broadcast_to(gain, 3), np.float32)
    share = sharpness(aligned.crop * to_studio, restored * to_studio) * (1 - blocks(own * to_studio))
    if share == 0:
        return restored
    noise = damage(own, aligned, to_studio) * to_studio
    *bands, _ = wavelet(aligned.crop - restored)
    kept = sum(
        in_colours(local_gain(band * to_studio, sigma, AROUND)) * band
        for band, sigma in zip(bands, noise, strict=True)
    )
    return np.asarray(restored + np.float32(share) * kept, np.float32)


def sharpness(crop: Picture, restored: Picture) -> float:
    """Return how far a crop is as sharp as the network's picture of it: 0 for a blurred one, 1 for a sharp.

    Noise, which is not in the network's picture, does not count.
    """
    start, end = (round(share * len(crop)) for share in MIDDLE)
    inside = np.s_[start:end, start:end]
    own, drawn = (wavelet(picture)[0][inside] for picture in (crop, restored))
    power = cv2.blur(np.sum(drawn * drawn, axis=2), (5, 5))
    edges = power >= np.quantile(power, 1 - EDGES)
    steepness = np.sum((own * drawn)[edges]) / max(float(np.sum((drawn * drawn)[edges])), LEAST)
    return _rise(float(steepness), SOFT, SHARP)


def damage(own: Picture, aligned: AlignedFace, gain: NDArray[np.float32]) -> Bands:
    """Return the noise and the grain of a crop in each wavelet band and colour channel, of 1.

    own   the photo around the middle of the face, in its own pixels
    gain  what brings its channels to studio light, 3
    """
    plain = grain_sigmas(aligned.crop, gain)
    white = (noise_bands(own, gain) / np.array(BAND_NOISE)[:, None]).max(axis=0)
    units = _noise_units(round(aligned.scale, 1))
    noise = np.minimum(AMPLY * np.outer(units, white), PLAIN_SHARE * plain)
    texture = np.sqrt(np.maximum(plain**2 - noise**2, 0)) * gain
    pores = _rise(aligned.scale, *PORES_SEEN) * PORES + LEAST
    if not np.ptp(own, axis=2).any():
        pores *= GREY_PORES
    most = float((texture / pores).mean(axis=1)[:2].max())
    return np.asarray(np.maximum(noise, _rise(most, 1, GRAIN) * UNEVEN * plain), np.float32)


def blocks(picture: Picture) -> float:
    """Return how far a picture falls apart into blocks of 8×8 pixels, as JPEG leaves them: 0 to 1.

    picture  H×W×3 in [0, 1], of studio light, cut anywhere out of the photo
    """
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    seen = min(_across_borders(grey), _across_borders(grey.T))
    return _rise(seen, BLOCKS_SEEN, BLOCKS)


def _across_borders(grey: NDArray[np.float32]) -> float:
    """Return how much more every eighth column differs from the one before than columns do: 0 for no more."""
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    if len(steps) < 16:
        return 0.0
    by_place = np.array([steps[place::8].mean() for place in range(8)])
    return float(by_place.max() / max(float(np.median(by_place)), LEAST) - 1)


def _rise(value: float, start: float, end: float) -> float:
    """Return 0 for a value up to the start, 1 from the end on, and smoothly what is between."""
    return float(np.float32(smoothstep((value - start) / (end - start))))


@lru_cache(maxsize=64)
def _noise_units(scale: float) -> tuple[float, ...]:
    """Return what white noise of σ = 1 leaves in each wavelet band of a crop, so many photo pixels to one."""
    finest = min(scale, 4.0)
    side, margin = 96, 16
    noise = np.random.default_rng(0).normal(0, 1 / 12, (round(side * finest), round(side * finest), 3))
    photo = np.asarray(np.rint(65535 * np.clip(noise + 0.5, 0, 1)), np.uint16)
    crop = cut_out(photo, np.array([(finest, 0, 0.3), (0, finest, 0.6)]), side)
    inside = np.s_[margin:-margin, margin:-margin]
    return tuple(12 * float(band[inside].std()) * finest / scale for band in wavelet(crop)[:-1])
