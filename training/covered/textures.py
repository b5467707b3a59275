"""Random textures of things that are worn or held in front of faces: cloth, prints, lace, plastic, skin."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Map, Picture

Random = np.random.Generator


def colour(random: Random) -> Picture:
    """Return a random colour, 3, in [0, 1]: black, white, a grey or a hue."""
    kind = random.random()
    if kind < 0.15:
        made = np.full(3, random.uniform(0, 0.12))
    elif kind < 0.3:
        made = np.full(3, random.uniform(0.85, 1))
    elif kind < 0.4:
        made = np.full(3, random.uniform(0.1, 0.9))
    else:
        made = random.uniform(0, 1, 3)
    return np.asarray(np.clip(made + random.normal(0, 0.01, 3), 0, 1), np.float32)


def skin_colour(random: Random) -> Picture:
    """Return the colour of skin in some light, 3, in [0, 1]."""
    light = random.uniform(0.25, 1)
    return np.asarray(
        light * np.array([0.9, random.uniform(0.6, 0.78), random.uniform(0.42, 0.68)]), np.float32
    )


def texture(side: int, random: Random, others: Sequence[Picture] = ()) -> Picture:
    """Return a random texture, side×side×3 in [0, 1].

    others  pictures of which pieces are used too
    """
    kinds = [_plain, _stripes, _checks, _dots, _blobs, _camouflage, _weave, _letters, _gradient, _clouds]
    kinds.append(_grains)
    made: NDArray[Any]
    if others and random.random() < 0.25:
        made = _piece(side, random, others)
    else:
        made = kinds[random.integers(len(kinds))](side, random)
    if random.random() < 0.5:
        made = made + random.normal(0, random.uniform(0, 0.03), (side, side, 1))
    return np.clip(made, 0, 1).astype(np.float32)


def smooth_noise(side: int, sigma: float, random: Random, channels: int = 1) -> Picture:
    """Return smooth noise of mean 0 and σ = 1, side×side×channels."""
    small = max(4, round(2 * side / sigma))
    noise = random.normal(0, 1, (small, small, channels)).astype(np.float32)
    made = cv2.resize(cv2.GaussianBlur(noise, (0, 0), 1.0), (side, side), interpolation=cv2.INTER_CUBIC)
    made = made.reshape(side, side, channels)
    return np.asarray(made / (made.std() + 1e-6), np.float32)


def _plain(side: int, random: Random) -> Picture:
    return np.broadcast_to(colour(random), (side, side, 3)).astype(np.float32)


def _wave(side: int, random: Random) -> Map:
    """Return stripes between 0 and 1, of any direction, width and softness."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    angle = random.uniform(0, np.pi) if random.random() < 0.5 else random.choice([0, np.pi / 2, np.pi / 4])
    period = side * np.exp(random.uniform(np.log(0.025), np.log(0.3)))
    phase = (x * np.cos(angle) + y * np.sin(angle)) / period + random.random()
    wave = np.sin(2 * np.pi * phase) - random.uniform(-0.6, 0.6)
    return np.asarray(np.clip(0.5 + wave * random.uniform(0.5, 6), 0, 1), np.float32)


def _stripes(side: int, random: Random) -> Picture:
    made = _mixed(_plain(side, random), colour(random), _wave(side, random))
    return _mixed(made, colour(random), _wave(side, random) ** 3) if random.random() < 0.3 else made


def _checks(side: int, random: Random) -> Picture:
    y, x = np.mgrid[:side, :side].astype(np.float32)
    angle = random.choice([0, np.pi / 4, random.uniform(0, np.pi)])
    period = side * np.exp(random.uniform(np.log(0.03), np.log(0.25)))
    across = (x * np.cos(angle) + y * np.sin(angle)) / period
    along = (y * np.cos(angle) - x * np.sin(angle)) / period
    first, second = (
        np.sin(2 * np.pi * v + random.uniform(0, 6)) > random.uniform(-0.5, 0.5) for v in (across, along)
    )
    board = (first ^ second) if random.random() < 0.5 else 0.5 * first + 0.5 * second
    made = _mixed(_plain(side, random), colour(random), board.astype(np.float32))
    return np.asarray(cv2.GaussianBlur(made, (0, 0), random.uniform(0.3, 1.2)), np.float32)


def _dots(side: int, random: Random) -> Picture:
    made = np.ascontiguousarray(_plain(side, random))
    step = side * random.uniform(0.04, 0.2)
    radius, shift = step * random.uniform(0.15, 0.42), random.uniform(0, step, 2)
    ink = colour(random)
    for row in range(int(side / step) + 2):
        for column in range(int(side / step) + 2):
            x, y = (column + 0.5 * (row % 2)) * step - shift[0], row * step - shift[1]
            cv2.circle(
                made, (round(16 * x), round(16 * y)), round(16 * radius), ink.tolist(), -1, cv2.LINE_AA, 4
            )
    return made


def _blobs(side: int, random: Random) -> Picture:
    """Flowers, leaves, paint."""
    made = np.ascontiguousarray(_plain(side, random))
    inks = [colour(random) for _ in range(random.integers(1, 5))]
    size = side * random.uniform(0.02, 0.1)
    for _ in range(random.integers(10, 90)):
        ink = inks[random.integers(len(inks))].tolist()
        axes = np.maximum(1, size * random.uniform(0.4, 1.6, 2)).astype(int).tolist()
        centre = random.integers(0, side, 2).tolist()
        cv2.ellipse(made, centre, axes, random.uniform(0, 180), 0, 360, ink, -1, cv2.LINE_AA)
    return made


def _camouflage(side: int, random: Random) -> Picture:
    made = np.ascontiguousarray(_plain(side, random))
    for _ in range(random.integers(1, 4)):
        where = smooth_noise(side, side * random.uniform(0.03, 0.15), random)[..., 0] > random.uniform(0, 1)
        made[where] = colour(random)
    return np.asarray(cv2.GaussianBlur(made, (0, 0), random.uniform(0.3, 1)), np.float32)


def _weave(side: int, random: Random) -> Picture:
    """Knitted or woven cloth, a microphone's mesh."""
    fine = cv2.GaussianBlur(
        random.normal(0, 1, (side, side)).astype(np.float32),
        (0, 0),
        random.uniform(0.4, 2.5),
        sigmaY=random.uniform(0.4, 2.5),
    )
    grid = 0.5 * _wave(side, random) + 0.5 * _wave(side, random) if random.random() < 0.5 else 0
    depth = random.uniform(0.02, 0.2)
    return np.asarray(
        colour(random) + (depth * (fine / (fine.std() + 1e-6) + 2 * grid))[..., None], np.float32
    )


def _letters(side: int, random: Random) -> Picture:
    size = random.uniform(0.3, 1.2)
    lines = [
        ("".join(random.choice(list("ABCDEFGHKLMNOPRSTUVWXYZ0123456789 "), 24)), (-random.integers(0, 40), y))
        for y in range(0, side + 30, max(8, round(38 * size * side / 192)))
    ]
    return _mixed(
        _plain(side, random), colour(random), written(side, lines, size, int(random.integers(1, 4)))
    )


def written(side: int, lines: Sequence[tuple[str, tuple[int, int]]], size: float, thick: int) -> Map:
    """Return the mask of lines of text, each at its place, side×side in [0, 1]."""
    ink = np.zeros((side, side), np.uint8)
    for text, (x, y) in lines:
        cv2.putText(ink, text, (int(x), int(y)), 0, size * side / 192, 255, thick, cv2.LINE_AA)
    return np.asarray(ink / np.float32(255), np.float32)


def _gradient(side: int, random: Random) -> Picture:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    angle = random.uniform(0, 2 * np.pi)
    along = np.clip(
        0.5 + random.uniform(0.6, 4) * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)), 0, 1
    )
    return _mixed(_plain(side, random), colour(random), along)


def _clouds(side: int, random: Random) -> Picture:
    noise = smooth_noise(side, side * random.uniform(0.04, 0.3), random, 3)
    return np.asarray(colour(random) + random.uniform(0.05, 0.3) * noise, np.float32)


def _grains(side: int, random: Random) -> Picture:
    """Gravel, crumbs, bark, grass: light and dark in several sizes, as in photographs of surfaces."""
    size, share, made = (
        side * random.uniform(0.005, 0.06),
        random.uniform(0.05, 0.3),
        np.zeros((side, side, 1)),
    )
    for octave in range(3):
        noise = smooth_noise(side, max(1.0, size * 2**octave), random)
        made = made + 0.7**octave * (noise if random.random() < 0.5 else 1 - 1.5 * np.abs(noise))
    return np.asarray(colour(random) * (1 + share * 1.5 * made) + 0.1 * share * made, np.float32)


def _piece(side: int, random: Random, others: Sequence[Picture]) -> Picture:
    """A piece of another picture, of any size and direction."""
    source = others[int(random.integers(len(others)))]
    turn = cv2.getRotationMatrix2D(
        tuple(random.uniform(0.2, 0.8, 2) * source.shape[0]), random.uniform(0, 360), random.uniform(0.7, 3)
    )
    turn = np.array(turn, np.float64)
    turn[:, 2] = turn[:, 2] + side / 2 - np.array(source.shape[:2]) / 2
    return np.asarray(cv2.warpAffine(source, turn, (side, side), borderMode=cv2.BORDER_REFLECT), np.float32)


def _mixed(first: Picture, second: Picture, share: Map) -> Picture:
    return np.asarray(first + share[..., None] * (second - first), np.float32)
