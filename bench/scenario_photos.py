"""The four kinds of photo that presets are for, made from a good portrait."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from portraits.damage import Portrait, compressed
from runtime.faces.face import Face
from training.damage.noises import Noise, add_noise
from training.damage.scratching import Mark, scratch
from training.damage.tones import Tone, toned

Levels = NDArray[np.float32]
Damage = Callable[[Portrait, Face, Generator], Portrait]
"""Damages a square portrait, H×H×3 uint8 RGB, that shows this face."""


@dataclass(frozen=True)
class Scenario:
    """A kind of photo, and the preset that is meant for it."""

    name: str
    title: str
    preset: str
    damage: Damage


def snapshot(portrait: Portrait, face: Face, rng: Generator) -> Portrait:
    """A photo from an early digital camera: few pixels, sharpened, heavily compressed, and enlarged later."""
    side = len(portrait)
    small = cv2.resize(portrait, (side * 5 // 8,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32)
    taken = _levels(_sharpened(small, 1.2, 0.5) + rng.normal(0, 3, small.shape))
    return np.asarray(
        cv2.resize(compressed(taken, 35), (side, side), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def distorted_eye(portrait: Portrait, face: Face, rng: Generator) -> Portrait:
    """A picture from an image generator: smooth as plastic, with one eye twisted and too high."""
    eye, other = face.landmarks[:2]
    apart = float(np.linalg.norm(eye - other))
    smooth = cv2.bilateralFilter(portrait, 0, 12, apart / 20)
    y, x = np.indices(portrait.shape[:2], np.float32)
    dx, dy = x - eye[0], y - eye[1]
    near = np.exp(-(dx**2 + dy**2) / (0.35 * apart) ** 2, dtype=np.float32)
    angle = 0.8 * near
    from_x = eye[0] + dx * np.cos(angle) - dy * np.sin(angle)
    from_y = eye[1] + dx * np.sin(angle) + dy * np.cos(angle) + 0.12 * apart * near
    return np.asarray(cv2.remap(smooth, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))


def scan(portrait: Portrait, face: Face, rng: Generator) -> Portrait:
    """A print from the seventies: faded, yellowed, grainy, scratched."""
    faded = 40 + np.float32(0.72) * toned(portrait.astype(np.float32), Tone("sepia", strength=0.6))
    grainy = add_noise(faded, Noise("grain", 8, coloured=False, grain_size=0.8), rng)
    marks = [
        Mark(x, 0.5, rng.normal(0, 0.03), 2.0, 0.003, 0.004, 6.0, 1.0, 0.8) for x in (0.15, 0.42, 0.47, 0.8)
    ]
    return _levels(scratch(grainy, marks))


def selfie(portrait: Portrait, face: Face, rng: Generator) -> Portrait:
    """A phone picture from a bar: dark, brightened, noisy, with purple fringes along bright edges,
    sharpened."""
    dim = toned(portrait.astype(np.float32), Tone(light=0.3))
    picture = add_noise(dim, Noise("dark", 11, gain=3.0), rng)
    spread = cv2.GaussianBlur(portrait, (0, 0), len(portrait) / 160).astype(np.float32)
    fringe = np.clip(spread - portrait, 0, None).mean(axis=2)[..., None]
    picture = picture + fringe * np.array([0.9, 0.0, 1.4], np.float32)
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.float32)
    return compressed(_levels(_sharpened(soft, 1.5, 1.2)), 80)


SCENARIOS = (
    Scenario("snapshot", "an over-compressed digital snapshot", "early-digital", snapshot),
    Scenario("distorted-eye", "a generated face with a distorted eye", "ai-generated", distorted_eye),
    Scenario("scan", "a yellowed, scratched scan", "film-scan", scan),
    Scenario("selfie", "a dark, noisy selfie", "low-light", selfie),
)


def _sharpened(picture: Levels, sigma: float, amount: float) -> Levels:
    return picture + amount * (picture - cv2.GaussianBlur(picture, (0, 0), sigma))


def _levels(picture: Levels) -> Portrait:
    return np.asarray(np.rint(np.clip(picture, 0, 255)), np.uint8)
