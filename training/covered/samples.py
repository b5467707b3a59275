"""Make samples: portraits with or without covers, badly photographed and stored, with a map of what is
hidden."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.covered import INPUT, WINDOW
from runtime.pixels import LUMA, Picture
from training.covered.scene import Scene
from training.covered.textures import Random
from training.covered.things import COVERS, HARMLESS

DRAWN = 192
"""Size at which things are drawn."""

TEMPLATE = (
    np.array([(66.295, 79.696), (101.532, 79.501), (84.025, 99.737), (69.549, 120.366), (102.73, 120.204)])
    / 168
)
"""The five landmarks in an aligned portrait, as shares of its side."""


def sample(
    portraits: Sequence[NDArray[np.uint8]], random: Random
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a damaged picture, INPUT×INPUT×3, and its label, INPUT×INPUT: 0 seen, 1 covered, 2 not judged.

    portraits  aligned, of any size
    """
    scene = _scene(portraits, random)
    for draw, chance in HARMLESS:
        if random.random() < chance:
            draw(scene)
    if random.random() < 0.3:  # noise under what is drawn, as on a photo
        noisy = scene.picture + np.float32(0.6) * _noise((DRAWN, DRAWN), random)
        scene.picture = np.asarray(np.clip(noisy, 0, 1), np.float32)
    if random.random() < 0.6:
        draws, chances = zip(*COVERS, strict=True)
        for _ in range(2 if random.random() < 0.12 else 1):
            draws[random.choice(len(draws), p=np.array(chances) / sum(chances))](scene)
    picture = damaged(scene.picture, random, gentle=scene.altered)
    small = cv2.resize(picture, (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    covered, unsure = (
        cv2.resize(m, (INPUT, INPUT), interpolation=cv2.INTER_AREA) for m in (scene.covered, scene.unsure)
    )
    label = (covered > 0.5).astype(np.uint8)
    label[((covered > 0.1) & (covered < 0.9)) | ((unsure > 0.1) & (covered < 0.9))] = 2
    if random.random() < 0.5:
        small, label = small[:, ::-1], label[:, ::-1]
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8), np.ascontiguousarray(label)


def _scene(portraits: Sequence[NDArray[np.uint8]], random: Random) -> Scene:
    """Return a portrait in the network's window, slightly displaced, as by inexact landmarks."""
    portrait = portraits[int(random.integers(len(portraits)))]
    start, end = np.array(WINDOW).T * len(portrait)
    scale = DRAWN / (end - start).mean() * np.exp(random.normal(0, 0.08))
    turn, shift = np.deg2rad(random.normal(0, 5)), random.normal(0, 0.022, 2) * DRAWN
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = (start + end) / 2
    matrix = np.column_stack([linear, DRAWN / 2 + shift - linear @ middle])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.warpAffine(portrait, matrix, (DRAWN, DRAWN), flags=how, borderMode=cv2.BORDER_REFLECT)
    landmarks = TEMPLATE * len(portrait) @ linear.T + matrix[:, 2]
    others = [np.asarray(portraits[int(random.integers(len(portraits)))] / np.float32(255), np.float32)]
    nothing = np.zeros((DRAWN, DRAWN), np.float32)
    return Scene(
        np.asarray(picture / np.float32(255), np.float32), landmarks, random, others, nothing, nothing.copy()
    )


def damaged(picture: Picture, random: Random, *, gentle: bool) -> Picture:
    """Return a picture in other light, blurred, enlarged, noisy, compressed.

    gentle  keep its finer parts recognisable
    """
    kind = random.random()
    if kind < 0.45:
        picture = _in_light(picture, random)
    elif kind < 0.75:
        picture = _old(picture, random, 0.5 if gentle else 0.14)
    if random.random() < 0.35:
        sigma = np.exp(random.uniform(np.log(0.4), np.log(1.2 if gentle else 4)))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    if random.random() < 0.35:
        picture = _enlarged(picture, random, 0.5 if gentle else 0.12)
    if random.random() < 0.5:
        picture = picture + _noise(picture.shape[:2], random)
    if random.random() < 0.06:
        levels = random.integers(4, 20)
        picture = np.asarray(np.rint(picture * levels) / levels, np.float32)
    if random.random() < 0.05:
        picture = _screened(picture, random)
    if random.random() < 0.5:
        quality = int(random.integers(12, 96))
        stored = cv2.imencode(
            ".jpg", np.clip(picture * 255, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        picture = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.float32) / np.float32(255)
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _in_light(picture: Picture, random: Random) -> Picture:
    if random.random() < 0.3:
        grey = picture @ LUMA.astype(np.float32)
        picture = grey[..., None] * (1 if random.random() < 0.5 else random.uniform(0.7, 1.1, 3))
    gain = np.exp(random.normal(0, 0.3)) * (
        np.exp(random.normal(0, 0.5, 3)) if random.random() < 0.4 else np.ones(3)
    )
    picture = np.clip(picture * np.minimum(gain, 2.2), 0, 1) ** np.exp(random.normal(0, 0.25))
    if random.random() < 0.25:
        flat = random.uniform(0.2, 1)
        picture = picture * flat + random.uniform(0, 1 - flat)
    return np.asarray(picture, np.float32)


def _old(picture: Picture, random: Random, least: float) -> Picture:
    """Return an old print: grey or brown, hard in contrast or faded, soft, grainy, as small as faces in a
    group.
    """
    made: NDArray[Any] = np.repeat((picture @ LUMA)[..., None], 3, axis=2)
    if random.random() < 0.7:
        made = np.clip((made - random.uniform(0, 0.3)) * random.uniform(1.2, 2.5), 0, 1)
    if random.random() < 0.4:
        flat = random.uniform(0.3, 0.9)
        made = made * flat + random.uniform(0, 1 - flat)
    if random.random() < 0.4:
        made = made * random.uniform((0.9, 0.75, 0.5), (1, 1, 1))
    if random.random() < 0.4:
        made = made + _noise(made.shape[:2], random)
    if random.random() < 0.1:
        made = _screened(np.clip(made, 0, 1).astype(np.float32), random)
    soft = cv2.GaussianBlur(np.clip(made, 0, 1).astype(np.float32), (0, 0), random.uniform(0.5, 2))
    return _enlarged(np.asarray(soft, np.float32), random, least)


def _enlarged(picture: Picture, random: Random, least: float) -> Picture:
    """Return a picture after shrinking it to a small face and enlarging it, sometimes in blocks."""
    n = len(picture)
    small = max(20, round(n * random.uniform(least, 0.9)))
    coarse = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    how = (
        cv2.INTER_NEAREST
        if random.random() < 0.15
        else int(random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    )
    return np.asarray(cv2.resize(coarse, (n, n), interpolation=how), np.float32)


def _screened(picture: Picture, random: Random) -> Picture:
    """Return a picture printed with a screen of dots."""
    y, x = np.mgrid[: len(picture), : len(picture)].astype(np.float32)
    angle, period = random.uniform(0, np.pi), random.uniform(2.5, 7)
    waves = [np.sin(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / period) for a in (angle, angle + np.pi / 2)]
    screen = 0.5 + 0.25 * (waves[0] + waves[1])[..., None]
    dots = np.clip((picture - screen) * random.uniform(1.5, 10) + 0.5, 0, 1)
    return np.asarray(picture + random.uniform(0.2, 1) * (dots - picture), np.float32)


def _noise(shape: tuple[int, ...], random: Random) -> Picture:
    sigma, coarse = random.uniform(0, 0.1), random.uniform(0, 2)
    noise = random.normal(0, 1, (*shape, 1 if random.random() < 0.4 else 3)).astype(np.float32)
    if coarse > 0.5:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), coarse), np.float32).reshape(noise.shape)
        noise /= noise.std() + 1e-6
    return np.asarray(sigma * noise, np.float32)
