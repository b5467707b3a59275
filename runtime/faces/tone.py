"""Show the network a face in the light it was trained on, and convert its output back (design §4, "Tone").

Networks of this kind learn faces in studio light. In stage light, at dusk or in a faded print a face is a
faint pattern in one or two channels, which they take for noise. So each colour channel gets a gain and an
offset that bring the face to the tone of the median portrait. Portraits in ordinary light are not changed;
between ordinary and strange light the correction increases smoothly.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.faces.regions import crop_landmarks, region_masks
from runtime.pixels import LUMA, Crop, ramp

Channels = NDArray[np.float64]
"""One number per colour channel, in [0, 1]."""

# The median portrait, from 500 aligned official photographs of members of the US Congress: the median of the
# faces' medians, and of the ranges between the 2nd and the 98th percentile of each head.
LEVEL = np.array([0.787, 0.546, 0.458])
RANGE = np.array([0.810, 0.689, 0.651])

# How far ordinary portraits differ from it: 98 % of the same 500 faces by less than the first number. From
# the second number on a face gets the median portrait's tone; between them the correction increases smoothly.
DARKER = (0.25, 0.35)
"""How far the level's luma is below the median portrait's. Bright faces are not changed: darkening flattens
them.
"""
FLATTER = (0.5, 0.8)
"""How far the natural logarithm of the range's luma is below the median portrait's."""
TINTED = (3.3, 4.7)
"""Joint distance of the natural logarithms of R/G and B/G of a level or range, in standard deviations."""
LEVEL_SPREAD = (np.array([0.084, 0.107]), -0.39)
"""R/G and B/G of the level: standard deviations and correlation."""
RANGE_SPREAD = (np.array([0.161, 0.092]), -0.44)
WHITE = (0.1, 0.4)
"""Share of white pixels in a face; from the second number on its tone is not changed, as white cannot be
recovered.
"""
WHITEST = 0.98

GREATEST_GAIN = 40.0
LEAST_GAIN = 0.5

GRID = 64
"""Size in pixels per side at which the face is measured, so that noise averages out."""
FACE = ("eye", "brow", "nose", "lip", "cheek", "forehead")
LEAST = 1e-3
"""Levels and ranges below this, in [0, 1], are raised to it."""


@dataclass(frozen=True, eq=False)
class Tone:
    """A gain and an offset per colour channel."""

    gain: Channels
    offset: Channels

    def standard(self, crop: Crop) -> Crop:
        """Convert a crop, in [0, 1], to standard tone for the network: in [0, 1]."""
        return np.clip(self._shifted(crop), 0, 1)

    def original(self, restored: Crop, crop: Crop) -> Crop:
        """Convert the network's output back to the crop's own tone, in [0, 1].

        Values that were outside the network's range keep their distance from it.

        restored  in [0, 1], in standard tone
        crop      the same crop that was passed to `standard`
        """
        if self is UNCHANGED:
            return restored
        shifted = self._shifted(crop)
        whole = restored + (shifted - np.clip(shifted, 0, 1))
        back = (whole - self.offset.astype(np.float32)) / self.gain.astype(np.float32)
        return np.asarray(np.clip(back, 0, 1), np.float32)

    def _shifted(self, crop: Crop) -> Crop:
        if self is UNCHANGED:
            return crop
        return crop * self.gain.astype(np.float32) + self.offset.astype(np.float32)


UNCHANGED = Tone(np.ones(3), np.zeros(3))


def tone_of(aligned: AlignedFace, *, grey: bool = False) -> Tone:
    """Return the conversion that brings a face to the median portrait's tone; UNCHANGED in ordinary light.

    grey  the crop is grey, and so is its target
    """
    return tone_of_crop(aligned.crop, crop_landmarks(aligned), grey=grey)


def tone_of_crop(crop: Crop, landmarks: NDArray[np.floating], *, grey: bool = False) -> Tone:
    """Return the same for a face with these landmarks in its crop, 5×2, (x, y)."""
    usual = GREY_MEDIAN if grey else MEDIAN
    measured = _measured(crop, landmarks)
    share = _share(measured, usual)
    if share == 0:
        return UNCHANGED
    gain = np.clip((usual.range / measured.range) ** share, LEAST_GAIN, GREATEST_GAIN)
    level = measured.level + share * (usual.level - measured.level)
    return Tone(gain, level - gain * measured.level)


@dataclass(frozen=True, eq=False)
class _Measured:
    level: Channels
    """Median of the face."""
    range: Channels
    """Range from dark to light in the head."""
    white: float = 0.0
    """Share of the face that is white."""


MEDIAN = _Measured(LEVEL, RANGE)
GREY_MEDIAN = _Measured(np.full(3, LEVEL @ LUMA), np.full(3, RANGE @ LUMA))


def _measured(crop: Crop, landmarks: NDArray[np.floating]) -> _Measured:
    size = len(crop)
    small = cv2.resize(crop, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.float64)
    masks = region_masks((landmarks + 0.5) * (GRID / size) - 0.5, GRID)
    face = small[np.sum([masks[region] for region in FACE], axis=0) > 0.5]
    head = small[masks["other"] < 0.5]
    if not len(face):
        return MEDIAN
    dark, light = np.quantile(head, (0.02, 0.98), axis=0)
    level = np.maximum(np.median(face, axis=0), LEAST)
    return _Measured(level, np.maximum(light - dark, LEAST), float((face.min(axis=1) > WHITEST).mean()))


def _share(measured: _Measured, usual: _Measured) -> float:
    """Return how much of the correction to apply: 0 in ordinary light, at most 1."""
    strange = max(
        ramp(float((usual.level - measured.level) @ LUMA), *DARKER),
        ramp(-float(np.log(measured.range @ LUMA / (usual.range @ LUMA))), *FLATTER),
        ramp(_tint(measured.level / usual.level, LEVEL_SPREAD), *TINTED),
        ramp(_tint(measured.range / usual.range, RANGE_SPREAD), *TINTED),
    )
    return float(strange * (1 - ramp(measured.white, *WHITE)))


def _tint(channels: Channels, spread: tuple[Channels, float]) -> float:
    """Return the Mahalanobis distance of R/G and B/G from 1, by their spread among portraits."""
    deviations, correlation = spread
    x, y = np.log(channels[[0, 2]] / channels[1]) / deviations
    return float(np.sqrt((x * x - 2 * correlation * x * y + y * y) / (1 - correlation**2)))
