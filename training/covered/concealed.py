"""Parts of a face that somebody has hidden in the picture: bars, mosaic, blur."""

import cv2
import numpy as np

from runtime.pixels import Map, Picture
from training.covered.scene import Scene
from training.covered.textures import colour, texture


def _area(scene: Scene) -> Map:
    """Return the mask of a part that somebody wants to hide: eyes, mouth or the whole face."""
    random = scene.random
    kind = random.random()
    if kind < 0.4:
        x0, x1, y0, y1 = (
            -random.uniform(0.65, 1.2),
            random.uniform(0.65, 1.2),
            -random.uniform(0.15, 0.5),
            random.uniform(0.12, 0.45),
        )
    elif kind < 0.55:
        x0, x1, y0, y1 = (
            -random.uniform(0.4, 0.9),
            random.uniform(0.4, 0.9),
            random.uniform(0.6, 0.85),
            random.uniform(1.15, 1.5),
        )
    else:
        x0, x1, y0, y1 = (
            -random.uniform(0.7, 1.3),
            random.uniform(0.7, 1.3),
            -random.uniform(0.5, 1.4),
            random.uniform(1.2, 1.8),
        )
    soft = random.choice([0.0, random.uniform(0.3, 2), random.uniform(2, 9)])
    if random.random() < 0.35:
        x, y, a, b = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 1.8, (y1 - y0) / 1.8
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        return scene.map_of([(x + a * np.cos(t), y + b * np.sin(t)) for t in angles], soft, 1)
    tilt = random.normal(0, 0.06)
    corners = [(x0, y0 - tilt), (x1, y0 + tilt), (x1, y1 + tilt), (x0, y1 - tilt)]
    return scene.map_of(corners, soft, 0)


def bar(scene: Scene) -> None:
    """A bar, mostly black or white, over the eyes, the mouth or the face; also with soft edges."""
    n, random = scene.side, scene.random
    plain = random.random()
    ink = colour(random) if plain < 0.3 else np.full(3, random.choice([0.0, 1.0]), np.float32)
    what = np.broadcast_to(ink, (n, n, 3)).astype(np.float32)
    if random.random() < 0.15:
        what = texture(n, random, scene.others)
    scene.put(what, _area(scene), hides=True)


def mosaic(scene: Scene) -> None:
    """A part of the face in blocks."""
    random, n = scene.random, scene.side
    block = scene.unit * np.exp(random.uniform(np.log(0.06), np.log(0.5)))
    count = max(2, round(n / block))
    shift = random.uniform(-block, block, 2)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    moved = cv2.warpAffine(scene.picture, move, (n, n), borderMode=cv2.BORDER_REFLECT)
    coarse = cv2.resize(moved, (count, count), interpolation=cv2.INTER_AREA)
    how = cv2.INTER_NEAREST if random.random() < 0.85 else cv2.INTER_LINEAR
    large = cv2.resize(coarse, (n, n), interpolation=how)
    blocks = cv2.warpAffine(
        large, -move + 2 * np.array([[1, 0, 0], [0, 1, 0]]), (n, n), borderMode=cv2.BORDER_REFLECT
    )
    area = _area(scene)
    if random.random() < 0.5:
        area = (area > 0.5).astype(np.float32)
    _altered(scene, np.asarray(blocks, np.float32), area, sure=block / scene.unit > 0.09)


def blurred(scene: Scene) -> None:
    """A part of the face blurred beyond recognition."""
    random = scene.random
    sigma = scene.unit * np.exp(random.uniform(np.log(0.05), np.log(0.4)))
    if random.random() < 0.7:
        soft = cv2.GaussianBlur(scene.picture, (0, 0), sigma)
    else:
        wide = 2 * round(sigma * 1.7) + 1
        soft = cv2.blur(scene.picture, (wide, wide))
    _altered(scene, np.asarray(soft, np.float32), _area(scene), sure=sigma / scene.unit > 0.085)


def _altered(scene: Scene, what: Picture, area: Map, *, sure: bool) -> None:
    """Replace an area by an altered picture of itself."""
    scene.altered = True
    scene.picture = np.asarray(scene.picture + area[..., None] * (what - scene.picture), np.float32)
    if sure:
        scene.covered = np.maximum(scene.covered, area)
        scene.unsure = np.maximum(scene.unsure, ((area > 0.05) & (area < 0.9)).astype(np.float32))
    else:
        scene.unsure = np.maximum(scene.unsure, area)
