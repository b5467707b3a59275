"""Things that hide nothing of a face: beards, dark skin, shadows, fringes, make-up, scratches."""

import cv2
import numpy as np

from training.augmentation import shaded_eyes
from training.covered.scene import Scene, jittered, lit
from training.covered.textures import colour, smooth_noise, texture, written


def beard(scene: Scene) -> None:
    """Hairs on chin, cheeks and lip: they hide nothing."""
    random = scene.random
    tone, low = colour(random) * 0.5, random.uniform(1.3, 1.7)
    for _ in range(int(random.integers(100, 1500))):
        x, y = random.uniform(-0.75, 0.75), random.uniform(0.72, low)
        if (x / 0.36) ** 2 + ((y - 1.02) / 0.15) ** 2 < 1 or y < 0.75 + 0.2 * (abs(x) < 0.3) - 0.5 * (
            abs(x) > 0.55
        ):
            continue
        start = np.rint(scene.at(x, y)).astype(int)
        end = np.rint(scene.at(x + random.normal(0, 0.03) + 0.04 * x, y + random.uniform(0.02, 0.14))).astype(
            int
        )
        shade = np.clip(tone * random.uniform(0.3, 1.7), 0, 1)
        cv2.line(scene.picture, start.tolist(), end.tolist(), shade.tolist(), 1, cv2.LINE_AA)


def moustache(scene: Scene) -> None:
    """A dense moustache, also over the lips, and a beard's dark ground."""
    random = scene.random
    tone = np.full(3, random.uniform(0.02, 0.9)) * (1 if random.random() < 0.5 else random.uniform(0.5, 1, 3))
    wide, low, high = random.uniform(0.2, 0.5), random.uniform(0.9, 1.08), random.uniform(0.72, 0.82)
    droop = random.uniform(-0.1, 0.2)
    points = [(0, high), (0.5 * wide, high + 0.04), (wide, low + droop), (0.4 * wide, low), (0, low - 0.03)]
    points += [(-x, y) for x, y in points[3:0:-1]]
    areas = [scene.map_of(jittered(scene, points, 0.015), random.uniform(0.6, 2.5))]
    if random.random() < 0.4:
        chin = [
            (-0.65, 0.7),
            (-0.4, 1.0),
            (0, 1.16),
            (0.4, 1.0),
            (0.65, 0.7),
            (0.6, 1.3),
            (0, random.uniform(1.5, 1.8)),
            (-0.6, 1.3),
        ]
        areas.append(scene.map_of(jittered(scene, chin, 0.03), random.uniform(1.5, 4)))
    fine = cv2.GaussianBlur(
        random.normal(0, 1, (scene.side, scene.side, 1)).astype(np.float32), (0, 0), 0.6, sigmaY=1.5
    )
    hair = np.clip(tone * (1 + random.uniform(0.1, 0.6) * fine[..., None]), 0, 1).astype(np.float32)
    for area in areas:
        scene.put(hair, area * np.float32(random.uniform(0.5, 1)), hides=False)


def dark_skin(scene: Scene) -> None:
    """A darker face, of which the highlights stay: the portraits show few dark people."""
    random = scene.random
    tint = random.uniform((0.85, 0.7, 0.6), (1, 1, 1))
    shine = random.uniform(0, 0.6) * np.clip(scene.picture.min(axis=2, keepdims=True) - 0.6, 0, 1)
    dark = scene.picture ** random.uniform(1.2, 2.4) * tint * random.uniform(0.5, 1) + shine
    face = np.ones((scene.side, scene.side), np.float32)
    if random.random() < 0.6:  # what is around it keeps its light
        face = scene.map_of([(-0.95, -0.9), (0.95, -0.9), (0.85, 1.2), (0, 1.8), (-0.85, 1.2)], 5)
    scene.put(np.clip(dark, 0, 1).astype(np.float32), face, hides=False)


def sockets(scene: Scene) -> None:
    """Eyes in the shadow of brows or a hat's brim, as far as black; also dark, dense brows."""
    random, n = scene.random, scene.side
    deep, kind = random.uniform(0.3, 0.98), random.random()
    each = np.ones(2)  # one eye may lie in the light
    if random.random() < 0.3:
        each[random.integers(2)] = random.uniform(0, 1)
    if kind < 0.35:
        light = shaded_eyes(random, 2 * scene.landmarks[:2] / n - 1, deep * each)
        large = cv2.resize(light, (n, n), interpolation=cv2.INTER_CUBIC)
        scene.picture = np.clip(scene.picture * large[..., None], 0, 1).astype(np.float32)
        return
    dark, softer = np.zeros((n, n), np.float32), 3 * max(0, deep - 0.7) / 0.3  # a black one is no lens
    if kind < 0.55:  # a brim's, with everything above it
        low, soft = random.uniform(-0.1, 0.6), random.choice([0.5, 2.0, 6.0])
        brim = [(-1.3, low), (0, low + random.uniform(-0.2, 0.2)), (1.3, low), (1.3, -2), (-1.3, -2)]
        dark = scene.map_of(brim, soft, 2)
    elif kind < 0.75:  # the brows', hard only at its lower edge, also over the root of the nose
        wide, top = random.uniform(0.65, 0.9), random.uniform(-0.35, -0.15)
        eyes, nose = random.uniform(0.05, 0.3), random.uniform(0.02, 0.3)
        band = [(-wide, top), (wide, top), (wide, nose * 0.6), (0.45, eyes), (0, nose)]
        band += [(-0.45, eyes), (-wide, nose * 0.6)]
        hard = scene.map_of(jittered(scene, band, 0.03), random.choice([0.7, 2, 4]) + softer, 2)
        upper = scene.map_of([(-2, top), (2, top), (2, 3), (-2, 3)], 0.12 * scene.unit, 0)
        dark = np.asarray(hard * upper, np.float32)
    else:
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        wide, high, y0 = random.uniform(0.2, 0.38), random.uniform(0.1, 0.24), random.uniform(-0.12, 0.02)
        soft = random.uniform(0.8, 5) + softer
        for x0, share in zip((-0.43, 0.43), each, strict=True):
            ring = [(x0 + wide * np.cos(t), y0 + high * np.sin(t)) for t in angles]
            dark = np.maximum(dark, np.float32(share) * scene.map_of(jittered(scene, ring, 0.02), soft))
    scene.picture = np.asarray(scene.picture * (1 - deep * dark[..., None]), np.float32)


def fringe(scene: Scene) -> None:
    """Hair over forehead and brows, or a hat: they belong to the head."""
    random = scene.random
    if random.random() < 0.4:
        low = random.uniform(-0.9, -0.4)
        points = [(-1.3, low + 0.1), (0, low), (1.3, low + 0.1), (1.3, -2.5), (-1.3, -2.5)]
        share = scene.map_of(
            jittered(scene, points, 0.05), random.uniform(0.3, 1.2), int(random.integers(0, 3))
        )
        scene.put(lit(scene, texture(scene.side, random, scene.others)), share, hides=False)
        return
    tone, low, part = (
        colour(random) * random.uniform(0.2, 0.9),
        random.uniform(-0.6, -0.12),
        random.uniform(-0.8, 0.8),
    )
    for _ in range(int(random.integers(100, 700))):
        x = random.uniform(-1.1, 1.1)
        if random.random() < 0.4 and abs(x - part) < 0.25:
            continue
        start = np.rint(scene.at(0.8 * x, random.uniform(-1.4, -1.0))).astype(int)
        end = np.rint(
            scene.at(x + random.normal(0, 0.1), low + random.normal(0, 0.12) + 0.5 * max(0, abs(x) - 0.6))
        ).astype(int)
        shade = np.clip(tone * random.uniform(0.4, 1.6), 0, 1)
        cv2.line(
            scene.picture,
            start.tolist(),
            end.tolist(),
            shade.tolist(),
            int(random.integers(1, 3)),
            cv2.LINE_AA,
        )


def make_up(scene: Scene) -> None:
    """Painted lips, lids and cheeks; freckles; an open mouth with teeth."""
    random = scene.random
    for x, y, wide, high, most in (
        (0, 1.02, 0.32, 0.1, 0.8),
        (-0.43, -0.06, 0.2, 0.1, 0.6),
        (0.43, -0.06, 0.2, 0.1, 0.6),
        (-0.5, 0.55, 0.2, 0.15, 0.3),
        (0.5, 0.55, 0.2, 0.15, 0.3),
    ):
        if random.random() < 0.4:
            angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
            share = scene.map_of(
                [(x + wide * np.cos(t), y + high * np.sin(t)) for t in angles], random.uniform(1, 3)
            )
            paint = (
                scene.picture * (0.3 + colour(random))
                if random.random() < 0.7
                else scene.picture * 0.5 + 0.5 * colour(random)
            )
            scene.put(np.clip(paint, 0, 1), share * random.uniform(0.2, most), hides=False)
    if random.random() < 0.3:
        high = random.uniform(0.06, 0.2)
        for grow, ink in ((1.25, (0.6, 0.25, 0.25)), (1.0, (0.15, 0.05, 0.06)), (0.5, (0.85, 0.82, 0.75))):
            y = 1.03 - (0.5 * high if grow == 0.5 else 0)
            angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
            share = scene.map_of(
                [(grow * 0.27 * np.cos(t), y + grow * high * np.sin(t)) for t in angles], 1.0
            )
            scene.put(np.broadcast_to(np.array(ink, np.float32), scene.picture.shape), share, hides=False)
    for _ in range(int(random.integers(0, 60)) if random.random() < 0.3 else 0):
        spot = np.rint(scene.at(random.normal(0, 0.45), random.normal(0.4, 0.35))).astype(int)
        cv2.circle(
            scene.picture,
            spot.tolist(),
            int(random.integers(1, 3)),
            (scene.picture.mean(axis=(0, 1)) * 0.5).tolist(),
            -1,
            cv2.LINE_AA,
        )


def shadow(scene: Scene) -> None:
    """Hard or soft shadows, spots of light, coloured light from one side."""
    random, n = scene.random, scene.side
    kind = random.random()
    if kind < 0.4:
        turn = random.uniform(0, 2 * np.pi)
        edge = np.array([np.cos(turn), np.sin(turn)])
        y, x = np.mgrid[:n, :n].astype(np.float32)
        middle = scene.at(random.normal(0, 0.4), random.normal(0.5, 0.5))
        far = (
            (x - middle[0]) * edge[0]
            + (y - middle[1]) * edge[1]
            + scene.unit * 0.1 * smooth_noise(n, n / 5, random)[..., 0]
        )
        where = 1 / (1 + np.exp(-np.clip(far / random.choice([0.7, 3, 15]), -30, 30)))
    else:
        limit = random.uniform(-0.5, 1)
        where = np.clip(
            0.5
            + random.choice([1, 3, 10])
            * (smooth_noise(n, scene.unit * random.uniform(0.15, 1), random)[..., 0] - limit),
            0,
            1,
        )
    light = 1 - where[..., None] * (1 - random.uniform(0.15, 1) * random.uniform(0.6, 1, 3))
    scene.picture = np.clip(scene.picture * light, 0, 1).astype(np.float32)


def scratches(scene: Scene) -> None:
    """Damage to a print or its scan: lines, dust, folds, a faint watermark."""
    random, n = scene.random, scene.side
    for _ in range(int(random.integers(1, 12))):
        start, end = random.integers(0, n, (2, 2)).tolist()
        cv2.line(scene.picture, start, end, colour(random).tolist(), int(random.integers(1, 3)), cv2.LINE_AA)
    for _ in range(int(random.integers(0, 60))):
        cv2.circle(
            scene.picture,
            random.integers(0, n, 2).tolist(),
            int(random.integers(1, 3)),
            colour(random).tolist(),
            -1,
            cv2.LINE_AA,
        )
    if random.random() < 0.25:
        place = (int(random.integers(-60, 40)), int(random.integers(n // 4, n)))
        ink = written(n, [("SAMPLE PHOTO", place)], random.uniform(0.6, 1.5), 2)
        scene.put(np.ones_like(scene.picture), ink * np.float32(random.uniform(0.1, 0.5)), hides=False)
