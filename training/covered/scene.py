"""A portrait that is being drawn on, by lengths of its face."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Map, Picture
from training.covered.textures import Random, smooth_noise

Points = NDArray[np.float64]


@dataclass
class Scene:
    """A portrait that is being drawn on."""

    picture: Picture
    """N×N×3 in [0, 1]."""
    landmarks: Points
    """5×2: eyes, nose, corners of the mouth."""
    random: Random
    others: Sequence[Picture]
    """Other portraits, of which pieces are used."""
    covered: Map
    """N×N: 1 where the face is hidden."""
    unsure: Map
    """N×N: above 0 where it is unclear whether the face is hidden."""
    altered: bool = False
    """Whether a part is hidden by mosaic or blur, which heavy damage would make unrecognisable."""

    @property
    def side(self) -> int:
        """N."""
        return len(self.picture)

    @property
    def unit(self) -> float:
        """Distance from the eyes to the mouth."""
        return float(np.linalg.norm(self.at(0, 1) - self.at(0, 0)))

    def at(self, x: float, y: float) -> Points:
        """Return a place in the picture, from face units: (0, 0) between the eyes, (0, 1) the mouth."""
        (x0, y0), (right, down) = self._frame
        return np.array([x0 + x * down + y * right, y0 - x * right + y * down])

    @cached_property
    def _frame(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the place between the eyes, and the way from there to the mouth."""
        eyes, mouth = self.landmarks[:2].mean(axis=0), self.landmarks[3:].mean(axis=0)
        return tuple(eyes.tolist()), tuple((mouth - eyes).tolist())

    def map_of(self, points: Sequence[tuple[float, float]], soft: float, rounds: int = 2) -> Map:
        """Return the soft mask of a closed curve through points in face units.

        soft    σ of its edge in pixels
        rounds  how often its corners are cut
        """
        outline = np.array([self.at(x, y) for x, y in points])
        for _ in range(rounds):
            after = np.roll(outline, -1, axis=0)
            outline = np.stack([0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], 1).reshape(
                -1, 2
            )
        area = np.zeros((self.side, self.side), np.float32)
        cv2.fillPoly(area, [np.rint(16 * outline).astype(np.int32)], 1, cv2.LINE_AA, 4)
        return np.asarray(cv2.GaussianBlur(area, (0, 0), soft) if soft > 0.2 else area, np.float32)

    def put(self, what: Picture, share: Map, *, hides: bool) -> None:
        """Blend a picture over the portrait; where it is opaque, it hides the face or does not."""
        self.picture = np.asarray(self.picture + share[..., None] * (what - self.picture), np.float32)
        if hides:
            self.covered = np.maximum(self.covered, share)


def jittered(scene: Scene, points: Sequence[tuple[float, float]], amount: float) -> list[tuple[float, float]]:
    """Return points in face units, each moved at random by so much (σ)."""
    return [tuple((np.array(p) + scene.random.normal(0, amount, 2)).tolist()) for p in points]


def lit(scene: Scene, what: Picture) -> Picture:
    """Return a texture with the light and shadow of something round."""
    random, n = scene.random, scene.side
    y, x = np.mgrid[:n, :n].astype(np.float32)
    middle, unit = scene.at(random.normal(0, 0.3), random.uniform(0, 1.2)), scene.unit
    light = 1 + random.uniform(-0.35, 0.15) * np.abs((x - middle[0]) / unit) ** 1.5
    light += random.uniform(-0.25, 0.25) * (y - middle[1]) / unit
    if random.random() < 0.5:
        light += random.uniform(0, 0.12) * smooth_noise(n, unit * random.uniform(0.1, 0.6), random)[..., 0]
    return np.asarray(np.clip(what * light[..., None], 0, 1), np.float32)
