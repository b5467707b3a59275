"""How far the network's output is trusted: a crop with little damage keeps its own pixels.

A network makes small errors everywhere: it takes pores for noise and softens lashes. If they exceed the
damage that it removes, the photo is better. In each wavelet band, the network's change consists of the
removed damage and its own error. The damage is measured; any change beyond it is error, and is undone with
the empirical Wiener filter of `fine_detail`, below the crop's resolution.

Where the network sharpens, or the photo shows JPEG blocks, only what the photo contradicts is undone
(`agreement.py`), since detail that a blurred photo lacks is not an error. Blur is recognised by how much
steeper the network draws edges. But a network takes the soft edge of a shadow for blur, and sharpens all of a
face in hard half light. So a crop whose finest edges are finer than those of a blurred one counts as sharp,
whatever the network draws.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, cut_out, joined, middle, shift, warp
from runtime.faces.grain import PLAIN, grain_sigmas
from runtime.faces.noise import BAND_NOISE, MEDIAN, around_middle, finest, middle_of, wavelet
from runtime.finish.agreement import agreement
from runtime.finish.compose import in_colours
from runtime.finish.edges import power_around, strongest
from runtime.finish.fine_detail import LEAST, WHOLE, Bands, local_gain, noise_bands
from runtime.pixels import Map, Picture, Pixels, greatest_channel, least_channel, ramp, sum_of_channels

SOFT, SHARP = 0.78, 0.84
"""Ratio of the steepness of edges in the photo to that in the network's output. Below the first, a face is
blurred and gains from sharpening; above the second, the photo is closer to the truth. In portraits of two
sizes, blurred by 0.4 to 3 pixels, the output gains 0.2 dB at ratios from 0.75 to 0.8, nothing from 0.8 to
0.85, and loses 0.5 dB above. Clean portraits have 0.936 and more."""

SMALL_SOFT, SMALL_SHARP, SMALL = 0.73, 0.78, 0.75
"""The same for faces of at most so many photo pixels per crop pixel, compared at the photo's resolution:
blurred by half a pixel they have up to 0.75 (after one pass 0.83), and gain; clean or with good JPEG from
0.757, and lose."""

SMALLEST = 24
"""Side in pixels to which a crop is shrunk at most for that comparison."""

FINE = (0.92, 1.0)
"""Power of the finest wavelet band relative to the second, as a ratio of amplitudes, at the finest edges:
below the first number, a crop may be blurred; from the second on, it is certainly sharp. Clean portraits, in
hard half light and in the light of a blind as well, have 1.0 and more, the same blurred by 1 crop pixel 0.5
to 0.83."""

SMALL_FINE = (0.82, 0.92)
"""The same for such faces, at the photo's resolution: resampled to and fro, clean ones and those from JPEG
have 0.96 and more, the same blurred by 0.8 photo pixels up to 0.7."""

FINEST = 0.95
"""Quantile of the edges that counts as the finest."""

CONTOUR = np.array([[0.26], [0.2], [0.09]], np.float32)
"""Root mean square in each wavelet band of what rounding adds, in levels: white noise in the finest band,
contours of smooth areas in the others."""

FIRM_EDGE, FEWEST = 4.0, 50
"""Power of such an edge, relative to the noise's, at least; and the fewest pixels that can decide."""

PORES = np.array([[5.6], [3.8], [2.5]], np.float32) / 255
"""Colourless texture up to this σ, in each wavelet band, is taken for pores."""

FILM_PORES = 0.65
"""Factor on PORES for monochrome photos, most of which are film, and for photos whose texture is grain-like:
everywhere, since pores are in skin only, and of a normal distribution, since fine hairs stand out."""

EVERYWHERE = (0.7, 0.85)
"""Finest texture in the quietest places of a crop, relative to that in its smooth parts: up to the first,
some places have none, as the walls and clothes behind a portrait; from the second on it is everywhere. Clean
portraits have 0.6 to 0.8 (median), the same with grain 0.9 and more."""

STANDING_OUT = (1.18, 1.3)
"""Standard deviation of the finest texture relative to that of the normal distribution with the same median:
1.0 to 1.15 for grain of σ 8 and more, 1.36 to 1.9 for sharp photos with hairs of a pixel's width."""

QUIETEST = 0.1
"""Share of a crop that counts as its quietest places."""

PLACE = 15
"""Side of such a place in crop pixels."""

GRAIN = 1.3
"""If one of the two finer bands exceeds PORES by this factor, texture in all bands is grain; in between, a
share of it is. The third band is not used, because wrinkles in clean portraits are as strong there."""

UNEVEN = 1.3
"""Factor by which more grain is held back than measured, because its density varies from place to place."""

PORES_SEEN = (0.6, 1.0)
"""Photo pixels per crop pixel at which pores begin to show, and at which they fully show. A smaller face
shows none, so its texture is grain."""

AROUND = 7
"""Side of the window in which the power of a change is measured, in crop pixels."""

AMPLY = 1.1
"""Factor by which more white noise is held back than measured, so that none returns with the detail."""

PLAIN_SHARE = 1.2
"""Factor by which measuring in the plainest places underestimates noise at most."""

BLOCKS_SEEN, BLOCKS = 0.12, 0.3
"""How much more neighbouring pixels differ across the borders of 8×8 blocks than within them: below the first
no block is visible, above the second the network should remove them."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a photo shows of a face's damage."""

    photo: Pixels
    """H×W×3 uint8 or uint16 RGB, not enlarged."""
    aligned: AlignedFace
    """A face of that photo; parts of its crop may be black, so as not to be measured."""
    gain: NDArray[np.floating] | float = 1.0
    """Factors that bring the photo's channels to studio light, 3."""
    seen: Picture | None = None
    """The crop that the network saw, S×S×3, if it is another."""
    free_of_blocks: bool = False
    """Whether that crop has been freed of JPEG blocks."""
    cover: Map | None = None
    """S×S in [0, 1]: what is before the face, and is no sign of its sharpness or blur."""

    @cached_property
    def to_studio(self) -> NDArray[np.float32]:
        """Return the factors that bring each channel to studio light, 3."""
        return np.asarray(np.broadcast_to(self.gain, 3), np.float32)

    @cached_property
    def crop(self) -> Picture:
        """Return what the network saw, S×S×3."""
        return self.aligned.crop if self.seen is None else self.seen

    @cached_property
    def own(self) -> Picture:
        """Return the photo around the middle of the face, H×W×3 in [0, 1]; possibly nothing."""
        return around_middle(self.photo, self.aligned)

    @cached_property
    def noise(self) -> Bands:
        """Return σ of the crop's noise and grain by wavelet band and colour channel, in studio light."""
        return damage(self.own, self.aligned, self.to_studio) * self.to_studio

    def sharp(self, restored: Picture) -> float:
        """Return the degree to which the face is sharp, whatever else damages it: 0 to 1.

        restored  S×S×3 in [0, 1], the network's output
        """
        if not self.own.size:
            return 0.0
        crop, drawn, cover = self._at_own_resolution(restored)
        scale = self.aligned.scale
        sharp = sharpness(crop, drawn, scale, cover)
        if sharp < 1 and fineness(crop, WHOLE, scale, cover) > 0:  # noise only makes it finer
            small = len(crop) < len(restored)
            noise = noise_bands(self.own, self.to_studio) * self.to_studio if small else self.noise
            sharp = max(sharp, fineness(crop, np.maximum(noise, self._contours), scale, cover))
        return sharp

    def shows_all(self, restored: Picture) -> float:
        """Return the degree to which the face is as sharp as the crop allows: 0 for a small or blurred one.

        restored  S×S×3 in [0, 1], the network's output
        """
        sharp = self.sharp(restored)
        if sharp > 0 and self.aligned.scale < 1:
            crop, drawn = (picture * self.to_studio for picture in (self.crop, restored))
            sharp = min(sharp, sharpness(crop, drawn, 1.0, self.cover))
        return sharp

    def noise_alone(self, sharp: float) -> float:
        """Return the degree to which noise is the face's only damage: 0 if it is blurred or shows JPEG
        blocks.

        sharp  the degree to which it is sharp
        """
        if sharp == 0 or self.free_of_blocks:
            return sharp
        return sharp * (1 - blocks(self.own * self.to_studio))

    @property
    def _contours(self) -> Bands:
        """Return what the photo's rounding adds to each wavelet band and colour channel, in studio light."""
        level = np.float32(1 / np.iinfo(self.photo.dtype).max) / np.float32(max(1.0, self.aligned.scale))
        return np.asarray(CONTOUR * level * self.to_studio, np.float32)

    def trusted(self, restored: Picture, noise_alone: float) -> Picture:
        """Return the network's output with everything it removed that was not damage restored: S×S×3.

        restored     S×S×3 in [0, 1], the network's output
        noise_alone  the degree to which noise is the face's only damage
        """
        if noise_alone == 0:
            return restored
        change = wavelet(self.crop - restored)
        # What is left below the bands holds less noise than the last of them.
        kept = sum(
            in_colours(local_gain(band * self.to_studio, sigma, AROUND)) * band
            for band, sigma in zip(change, (*self.noise, self.noise[-1]), strict=True)
        )
        return np.asarray(restored + np.float32(noise_alone) * kept, np.float32)

    def agreeing(self, restored: Picture, sharp: float, noise_alone: float) -> Picture:
        """Return a restored face that agrees with its photo as far as more than noise damages it: S×S×3.

        restored     S×S×3 in [0, 1], in the photo's own tone
        sharp        the degree to which the face is sharp
        noise_alone  the degree to which noise is its only damage
        """
        share = 1 - noise_alone
        if share == 0 or not self.own.size:
            return restored
        change = agreement(*self._at_own_resolution(restored), sharp=sharp) / self.to_studio
        if len(change) != len(restored):
            change = np.asarray(cv2.resize(change, restored.shape[:2], interpolation=cv2.INTER_CUBIC))
        return np.asarray(np.clip(restored + np.float32(share) * change, 0, 1), np.float32)

    def removed(self, restored: Picture) -> Picture:
        """Return what a restored face lacks of the photo around its middle, in the photo's own pixels.

        restored  S×S×3 in [0, 1], in the photo's own tone
        """
        if not self.own.size:
            return self.own
        x, y, *_ = middle_of(self.aligned)
        size = (self.own.shape[1], self.own.shape[0])
        to_own = joined(shift(-x, -y), self.aligned.to_photo)
        return self.own - warp(restored, to_own, size, border=cv2.BORDER_REPLICATE)

    def _at_own_resolution(self, restored: Picture) -> tuple[Picture, Picture, Map | None]:
        """Return the crop, a restored face and what covers it, at the photo's resolution if the crop is
        finer; the pictures in studio light."""
        scale = self.aligned.scale
        crop, drawn = (reduced(picture * self.to_studio, scale) for picture in (self.crop, restored))
        return crop, drawn, None if self.cover is None else reduced(self.cover, scale)


def reduced(picture: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Return a crop, or a map of it, at the photo's resolution if the crop is finer.

    scale  photo pixels per crop pixel
    """
    if scale >= 1:
        return picture
    side = max(SMALLEST, round(len(picture) * scale))
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def sharpness(crop: Picture, restored: Picture, scale: float, cover: Map | None = None) -> float:
    """Return the sharpness of a crop relative to the network's output: 0 if it is blurred, 1 if as sharp.

    Noise, which the output lacks, does not count as sharpness, nor does what covers the face. The crop of a
    small face is compared at the photo's resolution, since the lack of finer detail is not blur.

    crop, restored  H×W×3
    scale           photo pixels per pixel of the whole crop
    cover           H×W in [0, 1]: what covers the face
    """
    own, drawn = (middle(finest(picture)) for picture in (crop, restored))
    edges = strongest(power_around(drawn), None if cover is None else middle(cover))
    if not edges.any():
        return 0.0
    steepness = np.sum((own * drawn)[edges]) / max(float(np.sum((drawn * drawn)[edges])), LEAST)
    soft, sharp = (np.interp(scale, (SMALL, 1), ends) for ends in ((SMALL_SOFT, SOFT), (SMALL_SHARP, SHARP)))
    return _rise(float(steepness), float(soft), float(sharp))


def fineness(crop: Picture, noise: Bands, scale: float, cover: Map | None = None) -> float:
    """Return the degree to which a crop is certainly sharp, whatever the network draws: 0 to 1.

    The strongest edges of a blurred crop have little power in the finest band. Some of a sharp crop's are
    soft too, as the edge of a shadow or a cheek before a wall: the finest of them decide.

    crop   H×W×3
    noise  of the crop by wavelet band and colour channel
    scale  photo pixels per pixel of the whole crop
    cover  H×W in [0, 1]: what covers the face
    """
    fine, second = (
        np.maximum(power_around(middle(band)) - np.float32(np.sum(sigma * sigma)), 0)
        for band, sigma in zip(wavelet(crop), noise[:2], strict=False)
    )
    edges = strongest(second, None if cover is None else middle(cover))
    edges &= second > FIRM_EDGE * np.sum(noise[1] * noise[1])
    if edges.sum() < FEWEST:
        return 0.0
    ratio = np.sqrt(fine[edges] / np.maximum(second[edges], np.float32(LEAST**2)))
    start, end = (float(np.interp(scale, (SMALL, 1), ends)) for ends in zip(SMALL_FINE, FINE, strict=True))
    return _rise(float(np.quantile(ratio, FINEST)), start, end)


def damage(own: Picture, aligned: AlignedFace, gain: NDArray[np.float32]) -> Bands:
    """Return σ of a crop's noise and grain by wavelet band and colour channel, in units of full scale.

    own   the photo around the middle of the face, in its own pixels
    gain  factors that bring its channels to studio light, 3
    """
    # Texture around a face, as of leaves or wool, is not its grain, which the middle shows as well.
    plain = np.minimum(*(grain_sigmas(picture, gain) for picture in (aligned.crop, middle(aligned.crop))))
    white = (noise_bands(own, gain) / np.array(BAND_NOISE)[:, None]).max(axis=0)
    units = _noise_units(round(aligned.scale, 1))
    noise = np.minimum(AMPLY * np.outer(units, white), PLAIN_SHARE * plain)
    texture = np.sqrt(np.maximum(plain**2 - noise**2, 0)) * gain
    pores = _rise(aligned.scale, *PORES_SEEN) * PORES + LEAST
    film = grain_like(aligned.crop) if np.any(greatest_channel(own) != least_channel(own)) else 1.0
    pores *= 1 - film * (1 - FILM_PORES)
    most = float((texture / pores).mean(axis=1)[:2].max())
    return np.asarray(np.maximum(noise, _rise(most, 1, GRAIN) * UNEVEN * plain), np.float32)


def grain_like(crop: Picture) -> float:
    """Return whether a crop's finest texture is everywhere and normally distributed: 0 for no, 1 for yes."""
    fine, *_, rest = (sum_of_channels(band) / 3 for band in wavelet(crop))
    shown = cv2.erode(cv2.inRange(crop, (LEAST,) * 3, (1 - LEAST,) * 3), np.ones((PLACE, PLACE))) > 0
    if not shown.any():
        return 1.0
    slope = cv2.blur(np.hypot(cv2.Sobel(rest, -1, 1, 0), cv2.Sobel(rest, -1, 0, 1)), (9, 9))
    plain = fine[shown & (slope <= np.quantile(slope[shown], PLAIN))]
    typical = max(float(np.median(np.abs(plain))) / MEDIAN, LEAST)
    quiet = np.sqrt(np.quantile(cv2.blur(fine * fine, (PLACE, PLACE))[shown], QUIETEST)) / typical
    spread = np.sqrt(np.mean(plain * plain)) / typical
    return _rise(float(quiet), *EVERYWHERE) * (1 - _rise(float(spread), *STANDING_OUT))


def blocks(picture: Picture) -> float:
    """Return how visible the 8×8 blocks of JPEG compression are: 0 for not at all, 1 for clearly.

    picture  H×W×3 in [0, 1], in studio light, cut anywhere out of the photo
    """
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    seen = min(_across_borders(grey), _across_borders(grey.T))
    return _rise(seen, BLOCKS_SEEN, BLOCKS)


def _across_borders(grey: NDArray[np.float32]) -> float:
    """Return how much the differences across every eighth column exceed the usual ones; 0 if they do not."""
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    if len(steps) < 16:
        return 0.0
    by_place = np.array([steps[place::8].mean() for place in range(8)])
    return float(by_place.max() / max(float(np.median(by_place)), LEAST) - 1)


def _rise(value: float, start: float, end: float) -> float:
    """Return 0 for values up to the start, 1 from the end on, with a smooth transition between them."""
    return float(np.float32(ramp(value, start, end)))


@lru_cache(maxsize=64)
def _noise_units(scale: float) -> tuple[float, ...]:
    """Return σ in each wavelet band of a crop, at this many photo pixels per crop pixel, for noise of σ =
    1."""
    finest = min(scale, 4.0)
    side, margin = 96, 16
    noise = np.random.default_rng(0).normal(0, 1 / 12, (round(side * finest), round(side * finest), 3))
    photo = np.asarray(np.rint(65535 * np.clip(noise + 0.5, 0, 1)), np.uint16)
    crop = cut_out(photo, np.array([(finest, 0, 0.3), (0, finest, 0.6)]), side)
    inside = np.s_[margin:-margin, margin:-margin]
    return tuple(12 * float(band[inside].std()) * finest / scale for band in wavelet(crop)[:-1])
