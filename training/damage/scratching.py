"""Scratches and dust, as on film and prints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.damage.blurring import Picture

Line = NDArray[np.float32]

MOST_SCRATCHES = 5
MOST_SPECKS = 12


@dataclass(frozen=True)
class Mark:
    """A scratch (long) or a speck of dust (short); lengths as shares of the crop's side."""

    x: float
    y: float
    """Its middle."""
    angle: float
    """Radians; 0 is upright."""
    length: float
    width: float
    bend: float
    """Amplitude and wavelength of its deviation from the straight line."""
    wave: float
    light: float
    """Its colour: 0 is black, 1 is white."""
    opacity: float


def draw_marks(rng: Generator) -> tuple[Mark, ...]:
    """Return the marks of one crop: scratches, mostly vertical as on film, and dust."""
    scratches = [
        Mark(
            x=rng.uniform(0, 1),
            y=rng.uniform(0, 1),
            angle=rng.normal(0, 0.06) if rng.random() < 0.6 else rng.uniform(-np.pi / 2, np.pi / 2),
            length=rng.uniform(0.15, 2.0),
            width=rng.uniform(0.001, 0.005),
            bend=rng.uniform(0, 0.02),
            wave=rng.uniform(2, 9),
            light=1.0 if rng.random() < 0.75 else 0.0,
            opacity=rng.uniform(0.4, 1.0),
        )
        for _ in range(rng.integers(1, MOST_SCRATCHES, endpoint=True))
    ]
    specks = [
        Mark(
            x=rng.uniform(0, 1),
            y=rng.uniform(0, 1),
            angle=rng.uniform(-np.pi / 2, np.pi / 2),
            length=rng.uniform(0.004, 0.03),
            width=rng.uniform(0.002, 0.007),
            bend=0.0,
            wave=1.0,
            light=float(rng.random() < 0.6),
            opacity=rng.uniform(0.4, 1.0),
        )
        for _ in range(rng.integers(0, MOST_SPECKS, endpoint=True))
    ]
    return (*scratches, *specks)


def scratch(picture: Picture, marks: Sequence[Mark]) -> Picture:
    """Return a picture, S×S×3, levels in [0, 255], with marks drawn on it."""
    size = len(picture)
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    result = picture
    for mark in marks:
        cover = np.float32(mark.opacity) * _cover(mark, line[:, None], line[None, :], 1 / size)[..., None]
        result = np.asarray(result + cover * (np.float32(255 * mark.light) - result), np.float32)
    return result


def _cover(mark: Mark, y: Line, x: Line, pixel: float) -> Line:
    """Return a mark's coverage of each pixel: 1 inside, falling to 0 over one pixel."""
    cosine, sine = float(np.cos(mark.angle)), float(np.sin(mark.angle))
    along = (y - mark.y) * cosine + (x - mark.x) * sine
    across = (x - mark.x) * cosine - (y - mark.y) * sine
    across = across - mark.bend * np.sin(along * mark.wave)
    inside = np.minimum(mark.width / 2 - np.abs(across), mark.length / 2 - np.abs(along))
    return np.asarray(np.clip(inside / pixel + 0.5, 0, 1), np.float32)
