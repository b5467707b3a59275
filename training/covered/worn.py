"""Things that are worn over a face: masks, scarves, veils, glasses."""

import cv2
import numpy as np

from runtime.pixels import Picture
from training.covered.scene import Scene, jittered, lit
from training.covered.textures import colour, smooth_noise, texture


def mask(scene: Scene) -> None:
    """A mask, scarf or veil over the mouth, mostly over the nose too."""
    random = scene.random
    top = random.uniform(0.2, 0.5) if random.random() < 0.8 else random.uniform(0.7, 0.85)
    wide, low = random.uniform(0.6, 0.95), random.uniform(1.3, 1.75)
    side = top + random.uniform(0.0, 0.35)
    points = [(-wide, side), (-0.3, top + 0.06), (0, top), (0.3, top + 0.06), (wide, side)]
    points += [(wide * random.uniform(0.8, 1), 1.1), (0.35, low - 0.08), (0, low), (-0.35, low - 0.08)]
    points += [(-wide * random.uniform(0.8, 1), 1.1)]
    share = scene.map_of(jittered(scene, points, 0.03), random.uniform(0.3, 1.6), int(random.integers(0, 3)))
    cloth = texture(scene.side, random, scene.others)
    if random.random() < 0.35:
        cloth = _pleated(scene, cloth)
    if random.random() < 0.1:
        cloth = _lace(scene, cloth)
    for end in (-1, 1):
        if random.random() < 0.6:  # loops around the ears
            loop = np.rint(
                [scene.at(end * wide, side), scene.at(end * 1.1, random.uniform(-0.1, 0.5))]
            ).astype(int)
            cv2.line(
                scene.picture, loop[0].tolist(), loop[1].tolist(), colour(random).tolist(), 1, cv2.LINE_AA
            )
    scene.put(lit(scene, cloth), share, hides=True)


def _pleated(scene: Scene, cloth: Picture) -> Picture:
    y = np.arange(scene.side, dtype=np.float32)[:, None, None]
    period = scene.unit * scene.random.uniform(0.1, 0.35)
    fold = np.exp(-((((y / period) % 1) - 0.5) ** 2) * scene.random.uniform(20, 200))
    return np.asarray(cloth * (1 - scene.random.uniform(0.05, 0.4) * fold), np.float32)


def _lace(scene: Scene, cloth: Picture) -> Picture:
    """Threads through whose gaps the face is seen."""
    holes = smooth_noise(scene.side, scene.unit * scene.random.uniform(0.03, 0.1), scene.random)[..., 0] > 0.5
    return np.asarray(np.where(holes[..., None], scene.picture, cloth), np.float32)


def glasses(scene: Scene) -> None:
    """Sunglasses: dark, tinted, mirrored, darker at their top; or clear spectacles, which hide nothing."""
    random, n = scene.random, scene.side
    wide, high = random.uniform(0.3, 0.5), random.uniform(0.22, 0.42)
    apart, down = random.uniform(0.4, 0.52), random.uniform(-0.02, 0.12)
    square = random.uniform(0.5, 1)
    clear = random.random() < 0.45
    upper = random.uniform(0, 0.15) if clear else random.uniform(0.55, 1)
    lower = upper if random.random() < 0.5 else random.uniform(0, 0.15 if clear else 1)
    unsure = not clear and upper < 0.7 and lower < 0.5
    y = np.arange(n, dtype=np.float32)[:, None]
    middle = scene.at(0, down)[1]
    fall = np.clip(0.5 + (y - middle) / (2 * high * scene.unit), 0, 1) * np.ones((1, n), np.float32)
    opacity = (upper + (lower - upper) * fall).astype(np.float32)
    kind = random.random()
    if kind < 0.5:
        glass = np.broadcast_to(colour(random) * random.uniform(0.1, 0.6), (n, n, 3)).astype(np.float32)
    elif kind < 0.75:
        glass = _reflection(scene)
    else:
        glass = texture(n, random, scene.others)
    frame, thick = colour(random).tolist(), int(random.integers(0, 5))
    soft = random.uniform(0.3, 1.2)
    tilt = random.uniform(-0.1, 0.1)
    for end in (-1, 1):
        points = _lens((end * apart, down), wide, high, tilt * end, square)
        share = scene.map_of(points, soft, 1)
        scene.put(glass, share * opacity, hides=False)
        if unsure:
            scene.unsure = np.maximum(scene.unsure, share)
        elif not clear:
            scene.covered = np.maximum(scene.covered, share)
        if clear and random.random() < 0.4:  # a reflection that leaves the eye to be seen
            glare = scene.map_of(jittered(scene, [(end * apart + 0.1, down - 0.15)] * 4, 0.06), 1.0)
            scene.put(np.ones_like(scene.picture), glare * random.uniform(0.3, 1), hides=False)
        if thick:
            outline = np.rint([16 * scene.at(*p) for p in points]).astype(np.int32)
            cv2.polylines(scene.picture, [outline], True, frame, thick, cv2.LINE_AA, 4)
            if not (clear or unsure):
                cv2.polylines(scene.covered, [outline], True, 1, thick + 1, cv2.LINE_AA, 4)
    if thick:
        lines = [[(wide - apart, down - 0.1), (apart - wide, down - 0.1)]]
        lines += [[(end * (apart + wide), down - 0.1), (end * 1.05, 0.0)] for end in (-1, 1)]
        for ends in lines:
            start, stop = (np.rint(scene.at(*place)).astype(int).tolist() for place in ends)
            cv2.line(scene.picture, start, stop, frame, thick, cv2.LINE_AA)
            if not (clear or unsure):
                cv2.line(scene.covered, start, stop, 1, thick + 1, cv2.LINE_AA)


def _lens(
    middle: tuple[float, float], wide: float, high: float, tilt: float, square: float
) -> list[tuple[float, float]]:
    """Return the outline of a lens in face units; square is 1 for an ellipse, and less for squarer ones."""
    points = []
    for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        c, s = np.cos(angle), np.sin(angle)
        x = middle[0] + wide * np.sign(c) * abs(c) ** square
        points.append((x, middle[1] + tilt * c + high * np.sign(s) * abs(s) ** square))
    return points


def _reflection(scene: Scene) -> Picture:
    """Return what a mirrored lens shows: sky over land, each a gradient."""
    random, n = scene.random, scene.side
    y = np.arange(n, dtype=np.float32)[:, None, None]
    horizon = scene.at(0, random.uniform(-0.1, 0.2))[1] + 3 * smooth_noise(n, n / 4, random)[:1]
    sky, land = (colour(random) + random.uniform(-0.6, 0.6) * (y - horizon) / scene.unit for _ in range(2))
    edge = 1 / (1 + np.exp(np.clip((y - horizon) / random.uniform(0.5, 6), -30, 30)))
    made = land + edge * (sky - land)
    return np.asarray(np.clip(made + 0.05 * smooth_noise(n, n / 10, random), 0, 1), np.float32)
