"""Draw things over a portrait that hide parts of the face, and things that do not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Map, Picture
from training.augmentation import shaded_eyes
from training.covered.textures import Random, colour, skin_colour, smooth_noise, texture, written

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


def _jitter(scene: Scene, points: Sequence[tuple[float, float]], amount: float) -> list[tuple[float, float]]:
    return [tuple((np.array(p) + scene.random.normal(0, amount, 2)).tolist()) for p in points]


def _lit(scene: Scene, what: Picture) -> Picture:
    """Return a texture with the light and shadow of something round."""
    random, n = scene.random, scene.side
    y, x = np.mgrid[:n, :n].astype(np.float32)
    middle, unit = scene.at(random.normal(0, 0.3), random.uniform(0, 1.2)), scene.unit
    light = 1 + random.uniform(-0.35, 0.15) * np.abs((x - middle[0]) / unit) ** 1.5
    light += random.uniform(-0.25, 0.25) * (y - middle[1]) / unit
    if random.random() < 0.5:
        light += random.uniform(0, 0.12) * smooth_noise(n, unit * random.uniform(0.1, 0.6), random)[..., 0]
    return np.asarray(np.clip(what * light[..., None], 0, 1), np.float32)


def mask(scene: Scene) -> None:
    """A mask, scarf or veil over the mouth, mostly over the nose too."""
    random = scene.random
    top = random.uniform(0.2, 0.5) if random.random() < 0.8 else random.uniform(0.7, 0.85)
    wide, low = random.uniform(0.6, 0.95), random.uniform(1.3, 1.75)
    side = top + random.uniform(0.0, 0.35)
    points = [(-wide, side), (-0.3, top + 0.06), (0, top), (0.3, top + 0.06), (wide, side)]
    points += [(wide * random.uniform(0.8, 1), 1.1), (0.35, low - 0.08), (0, low), (-0.35, low - 0.08)]
    points += [(-wide * random.uniform(0.8, 1), 1.1)]
    share = scene.map_of(_jitter(scene, points, 0.03), random.uniform(0.3, 1.6), int(random.integers(0, 3)))
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
    scene.put(_lit(scene, cloth), share, hides=True)


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
        points = []
        for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
            c, s = np.cos(angle), np.sin(angle)
            points.append(
                (
                    end * apart + wide * np.sign(c) * abs(c) ** square,
                    down + tilt * end * c + high * np.sign(s) * abs(s) ** square,
                )
            )
        share = scene.map_of(points, soft, 1)
        scene.put(glass, share * opacity, hides=False)
        if unsure:
            scene.unsure = np.maximum(scene.unsure, share)
        elif not clear:
            scene.covered = np.maximum(scene.covered, share)
        if clear and random.random() < 0.4:  # a reflection that leaves the eye to be seen
            glare = scene.map_of(_jitter(scene, [(end * apart + 0.1, down - 0.15)] * 4, 0.06), 1.0)
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


def _reflection(scene: Scene) -> Picture:
    """Return what a mirrored lens shows: sky over land, each a gradient."""
    random, n = scene.random, scene.side
    y = np.arange(n, dtype=np.float32)[:, None, None]
    horizon = scene.at(0, random.uniform(-0.1, 0.2))[1] + 3 * smooth_noise(n, n / 4, random)[:1]
    sky, land = (colour(random) + random.uniform(-0.6, 0.6) * (y - horizon) / scene.unit for _ in range(2))
    edge = 1 / (1 + np.exp(np.clip((y - horizon) / random.uniform(0.5, 6), -30, 30)))
    made = land + edge * (sky - land)
    return np.asarray(np.clip(made + 0.05 * smooth_noise(n, n / 10, random), 0, 1), np.float32)


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


def held(scene: Scene) -> None:
    """Something in front of the face: a hand, a microphone, a drink, food, flowers, leaves, a book, an
    animal, a lock of hair, any patch.
    """
    random = scene.random
    angle = random.uniform(0, 2 * np.pi)
    target = np.array([random.normal(0, 0.35), random.uniform(-0.1, 1.4)])
    kind = random.random()
    if kind > 0.22 and random.random() < 0.6:  # what is spoken into, drunk, eaten or smelt is near the mouth
        target = np.array([random.normal(0, 0.2), random.uniform(0.8, 1.5)])
    if kind < 0.16:
        _hand(scene, target, angle)
    elif kind < 0.22:
        _fist(scene, target)
    elif kind < 0.31:
        _microphone(scene, target, angle)
    elif kind < 0.39:
        _drink(scene, target)
    elif kind < 0.52:
        _food(scene, target)
    elif kind < 0.64:
        _flowers(scene, target)
    elif kind < 0.71:
        _leaves(scene, target)
    elif kind < 0.78:
        _sheet(scene)
    elif kind < 0.85:
        _animal(scene)
    elif kind < 0.9:
        _lock(scene)
    else:
        _patch(scene, target, angle)


def _patch(scene: Scene, target: NDArray[np.float64], angle: float) -> None:
    random = scene.random
    corners = random.uniform(0.6, 1.3, 8) * random.uniform(0.2, 0.6)
    turns = np.linspace(0, 2 * np.pi, 8 if random.random() < 0.5 else 4, endpoint=False)
    outline = [
        tuple((target + c * np.array([np.cos(t + angle), np.sin(t + angle)])).tolist())
        for t, c in zip(turns, corners, strict=False)
    ]
    share = scene.map_of(outline, random.uniform(0.3, 1.5), int(random.integers(0, 3)))
    what = texture(scene.side, random, scene.others)
    if random.random() < 0.4:
        what = _folded(scene, what)
    scene.put(_lit(scene, what), share, hides=True)


def _folded(scene: Scene, cloth: Picture) -> Picture:
    """Return cloth in folds of one direction, uneven and bent."""
    random, n = scene.random, scene.side
    y, x = np.mgrid[:n, :n].astype(np.float32)
    turn, period = random.uniform(0, np.pi), scene.unit * random.uniform(0.15, 0.7)
    bent = x * np.cos(turn) + y * np.sin(turn) + 0.3 * period * smooth_noise(n, n / 4, random)[..., 0]
    light = 1 + random.uniform(0.1, 0.4) * np.sin(2 * np.pi * bent / period)
    return np.asarray(np.clip(cloth * light[..., None], 0, 1), np.float32)


def _ellipse(
    scene: Scene,
    middle: NDArray[np.float64],
    wide: float,
    high: float,
    turn: float = 0.0,
    square: float = 2.0,
) -> tuple[Map, Map]:
    """Return the mask of an ellipse in face units, and each pixel's distance from its middle, 1 at its edge.

    square  2 is an ellipse; with more, it is the squarer
    """
    y, x = np.mgrid[: scene.side, : scene.side].astype(np.float32)
    x0, y0 = scene.at(*middle)
    c, s = np.cos(turn), np.sin(turn)
    across, down = (c * (x - x0) + s * (y - y0)) / scene.unit, (c * (y - y0) - s * (x - x0)) / scene.unit
    far = (np.abs(across / wide) ** square + np.abs(down / high) ** square).astype(np.float32)
    far **= np.float32(1 / square)
    edge = np.clip((1 - far) * min(wide, high) * scene.unit + 0.5, 0, 1)
    return np.asarray(edge, np.float32), far


def _round(far: Map, least: float, random: Random) -> Picture:
    """Return the light on something round, N×N×1: from 1 in its middle to a least value at its edge."""
    light = least + (1 - least) * np.sqrt(np.clip(1 - far**2, 0, 1))
    return np.asarray(light[..., None] * random.uniform(0.8, 1.1), np.float32)


def _microphone(scene: Scene, target: NDArray[np.float64], angle: float) -> None:
    """A ball of wire mesh or foam on a stick."""
    random, n = scene.random, scene.side
    size = random.uniform(0.15, 0.42)
    stick = _stick(scene, target, angle, random.uniform(0.35, 0.8) * size)
    shaft = texture(n, random) if random.random() < 0.4 else colour(random) * random.uniform(0.1, 0.6)
    scene.put(_lit(scene, np.broadcast_to(shaft, (n, n, 3))), stick, hides=True)
    ball, far = _ellipse(scene, target, size, size * random.uniform(0.9, 1.4), angle)
    ink = colour(random) * random.uniform(0.1, 1)
    if random.random() < 0.6:
        ink = np.full(3, random.uniform(0.03, 0.6), np.float32)
    y, x = np.mgrid[:n, :n].astype(np.float32)
    period, turn = random.uniform(2, 8), random.uniform(0, np.pi)
    wires = [np.sin(2 * np.pi * (x * np.cos(t) + y * np.sin(t)) / period) for t in (turn, turn + np.pi / 2)]
    mesh = random.uniform(0, 0.6) * np.maximum(*wires)[..., None]
    made = ink * (1 + mesh) * _round(far, random.uniform(0.3, 0.9), random)
    shine = random.uniform(0, 0.4) * _ellipse(scene, target - 0.35 * size, size / 2, size / 3)[0]
    scene.put(np.clip(made + shine[..., None], 0, 1).astype(np.float32), ball, hides=True)


def _drink(scene: Scene, target: NDArray[np.float64]) -> None:
    """A glass, a cup or a bottle at the mouth; what is clear of a glass leaves the face to be seen."""
    random, n = scene.random, scene.side
    top, low = target[1] + random.uniform(-0.1, 0.2), target[1] + random.uniform(0.6, 1.4)
    wide, narrow = random.uniform(0.15, 0.55), random.uniform(0.5, 1.1)
    x0, lean = target[0], random.normal(0, 0.08)
    points = [(x0 - wide, top), (x0 + wide, top)]
    points += [(x0 + lean + wide * narrow, low), (x0 + lean - wide * narrow, low)]
    share = scene.map_of(points, random.uniform(0.3, 1), int(random.integers(0, 2)))
    clear = random.random() < 0.55
    level = top + (random.uniform(0.05, 0.5) * (low - top) if clear else -1.0)
    y = np.mgrid[:n, :n][0].astype(np.float32)
    filled = np.clip((y - scene.at(x0, level)[1]) + 0.5, 0, 1).astype(np.float32)
    fluid = texture(n, random, scene.others) if random.random() < 0.2 else _natural(random)
    body = _lit(scene, np.broadcast_to(fluid, (n, n, 3)))
    opaque = np.float32(random.uniform(0.6, 1))
    scene.put(body, share * filled * opaque, hides=False)
    scene.covered = np.maximum(scene.covered, share * filled)
    if clear:
        glass = scene.picture * random.uniform(0.6, 1) + random.uniform(0, 0.25)
        scene.put(np.clip(glass, 0, 1), share * (1 - filled), hides=False)
        scene.unsure = np.maximum(scene.unsure, share * (1 - filled))
    for _ in range(int(random.integers(0, 4))):  # reflections
        at = x0 + random.uniform(-0.9, 0.9) * wide
        streak = scene.map_of([(at, top), (at + 0.03, top), (at + 0.03, low), (at, low)], 0.6, 0)
        scene.put(
            np.ones_like(scene.picture), streak * share * np.float32(random.uniform(0.1, 0.8)), hides=False
        )
    if random.random() < 0.6:
        rim, far = _ellipse(scene, np.array([x0, top]), wide, random.uniform(0.04, 0.12))
        ring = rim * (far > random.uniform(0.6, 0.9))
        scene.put(np.full_like(scene.picture, random.uniform(0.6, 1)), ring, hides=True)


def _natural(random: Random) -> Picture:
    """Return a random colour of food and drink, 3, in [0, 1]: any, or from white over amber to dark brown."""
    if random.random() < 0.3:
        return colour(random)
    red = random.uniform(0.1, 1)
    green = red * random.uniform(0.2, 1)
    return np.array([red, green, green * random.uniform(0.1, 1)], np.float32)


def _food(scene: Scene, target: NDArray[np.float64]) -> None:
    """Food at the mouth: one piece or layers, with crumbs, seeds and holes."""
    random, n = scene.random, scene.side
    wide, down = random.uniform(0.2, 0.75), target[1] - random.uniform(0, 0.5)
    tall, square = random.choice([0.15, 0.4]), random.uniform(2, 5)
    for _ in range(int(random.integers(1, 6))):
        high = random.uniform(0.03, tall)
        place = np.array([target[0] + random.normal(0, 0.03), down + high / 2])
        across = wide * random.uniform(0.8, 1.2)
        area, far = _ellipse(scene, place, across, high, random.normal(0, 0.1), square)
        grain = smooth_noise(n, scene.unit * random.uniform(0.02, 0.15), random)
        if random.random() < 0.4:  # crumbs and nuts: dark furrows between them
            grain = 3 * np.abs(grain) - 3
        made = (
            _natural(random)
            * (1 + random.uniform(0, 0.25) * grain)
            * _round(far, random.uniform(0.5, 1), random)
        )
        scene.put(np.clip(made, 0, 1).astype(np.float32), area, hides=True)
        if random.random() < 0.4:
            speck = colour(random).tolist()
            for _ in range(int(random.integers(5, 50))):
                at = np.rint(scene.at(*(place + random.uniform(-0.7, 0.7, 2) * (wide, high)))).astype(int)
                cv2.circle(scene.picture, at.tolist(), int(random.integers(1, 3)), speck, -1, cv2.LINE_AA)
        down += high * random.uniform(0.6, 1.5)


def _flowers(scene: Scene, target: NDArray[np.float64]) -> None:
    """A bunch of flowers, some with single petals, some between leaves."""
    random, n = scene.random, scene.side
    inks = [colour(random) for _ in range(int(random.integers(1, 5)))]
    if random.random() < 0.4:
        _leaves(scene, target)
    y, x = np.mgrid[:n, :n].astype(np.float32)
    spread, single = random.uniform(0.15, 0.4), random.random() < 0.4
    for _ in range(int(random.integers(4, 22))):
        place = target + random.normal(0, spread, 2)
        size, ink = random.uniform(0.08, 0.25), inks[int(random.integers(len(inks)))]
        if single:
            _petals(scene, place, size, ink)
            continue
        x0, y0 = scene.at(*place)
        angles = np.arctan2(y - y0, x - x0) + random.uniform(0, 6)
        petals = 1 - random.uniform(0, 0.5) * (0.5 - 0.5 * np.cos(random.integers(1, 8) * angles))
        far = (np.hypot(x - x0, y - y0) / (size * scene.unit * petals)).astype(np.float32)
        share = np.clip((1 - far) * size * scene.unit + 0.5, 0, 1).astype(np.float32)
        light = random.uniform(0.4, 1) + (1 - random.uniform(0.4, 1)) * np.clip(far, 0, 1)
        made = ink * light[..., None]
        if random.random() < 0.5:
            made = np.where((far < random.uniform(0.15, 0.4))[..., None], colour(random), made)
        scene.put(np.clip(made, 0, 1).astype(np.float32), share, hides=True)


def _petals(scene: Scene, place: NDArray[np.float64], size: float, ink: Picture) -> None:
    """Petals around a flower's middle, each with its own light."""
    random = scene.random
    count, thin, turn = int(random.integers(4, 9)), random.uniform(0.35, 0.7), random.uniform(0, 6)
    for angle in turn + np.linspace(0, 2 * np.pi, count, endpoint=False):
        along = np.array([np.cos(angle), np.sin(angle)])
        area, far = _ellipse(scene, place + 0.6 * size * along, 0.6 * size, 0.6 * size * thin, angle)
        made = ink * random.uniform(0.7, 1.2) * _round(far, random.uniform(0.6, 1), random)
        scene.put(np.clip(made, 0, 1).astype(np.float32), area, hides=True)
    middle = _ellipse(scene, place, 0.25 * size, 0.25 * size)[0]
    scene.put(np.broadcast_to(colour(random), scene.picture.shape).astype(np.float32), middle, hides=True)


def _leaves(scene: Scene, target: NDArray[np.float64]) -> None:
    """Leaves or blades of grass, of nearly the same colour, in front of a part of the face."""
    random, n = scene.random, scene.side
    ink = random.uniform((0.1, 0.3, 0.02), (0.6, 0.8, 0.4)).astype(np.float32)
    if random.random() < 0.3:
        ink = colour(random)
    long, thin = random.uniform(0.15, 0.45), random.uniform(0.15, 0.5)
    spread = random.uniform(0.2, 0.6, 2)
    grain = 1 + random.uniform(0, 0.3) * smooth_noise(n, random.uniform(2, 12), random)
    for _ in range(int(random.integers(4, 30))):
        place = target + random.normal(0, 1, 2) * spread
        area, far = _ellipse(scene, place, long, long * thin, random.uniform(0, np.pi))
        made = ink * random.uniform(0.6, 1.3) * grain * _round(far, random.uniform(0.5, 1), random)
        scene.put(np.clip(made, 0, 1).astype(np.float32), area, hides=True)


def _sheet(scene: Scene) -> None:
    """A book, a sheet, a screen or a fan that covers a large part of the face, mostly the lower one."""
    random = scene.random
    x, top = random.normal(0, 0.5), random.uniform(-0.1, 1.2)
    wide, high, lean = random.uniform(0.5, 2.5), random.uniform(0.6, 3), random.normal(0, 0.12)
    points = [(x - wide, top - lean), (x + wide, top + lean), (x + wide, top + high), (x - wide, top + high)]
    if random.random() < 0.2:  # from the side
        side = random.choice([-1, 1])
        points = [(side * (a - 0.2), b) for a, b in ((0.3, -1), (3, -1), (3, 3), (random.uniform(0, 0.6), 3))]
    share = scene.map_of(_jitter(scene, points, 0.05), random.uniform(0.3, 1.5), int(random.integers(0, 2)))
    scene.put(_lit(scene, texture(scene.side, random, scene.others)), share, hides=True)


def _animal(scene: Scene) -> None:
    """Fur or feathers in front of a part of the face: a large, soft-edged shape with short hairs."""
    random, n = scene.random, scene.side
    target = np.array([random.choice([-1, 1]) * random.uniform(0.2, 1), random.uniform(0.4, 1.5)])
    size = random.uniform(0.45, 1)
    area, far = _ellipse(scene, target, size, size * random.uniform(0.7, 1.3), random.uniform(0, 3))
    fine = random.normal(0, 1, (n, n)).astype(np.float32)
    long, thin = random.uniform(1.5, 4), random.uniform(0.4, 0.9)
    hairs = cv2.GaussianBlur(fine, (0, 0), long, sigmaY=thin)
    hairs = cv2.warpAffine(
        hairs, cv2.getRotationMatrix2D((n / 2, n / 2), random.uniform(0, 180), 1.5), (n, n)
    )
    patches = smooth_noise(n, random.uniform(8, 60), random)
    tone = _natural(random) + (colour(random) - 0.5) * (patches > random.uniform(0, 2))
    made = tone * (1 + random.uniform(0.1, 0.4) * (hairs / (hairs.std() + 1e-6))[..., None])
    made *= _round(far, random.uniform(0.5, 1), random)
    soft = np.asarray(cv2.GaussianBlur(area, (0, 0), random.uniform(0.5, 2.5)), np.float32)
    scene.put(np.clip(made, 0, 1).astype(np.float32), soft, hides=True)


def _lock(scene: Scene) -> None:
    """A lock of hair that falls over an eye, the nose or a cheek."""
    random = scene.random
    tone = (_natural(random) if random.random() < 0.7 else colour(random)) * random.uniform(0.2, 1)
    x, down, slant = random.uniform(-0.5, 0.5), random.uniform(0.2, 1.4), random.normal(0, 0.25)
    wide, bend = random.uniform(0.06, 0.25), random.normal(0, 0.12)
    covered = np.zeros((scene.side, scene.side), np.uint8)
    for _ in range(int(random.integers(40, 140))):
        start = random.uniform(-1, 1) * wide
        shade = np.clip(tone * random.uniform(0.5, 1.5), 0, 1).tolist()
        ts = np.linspace(0, 1, 12)
        hair = [
            scene.at(x + start * (1.1 - 0.6 * t) + slant * t + bend * np.sin(3 * t), -1.3 + (1.3 + down) * t)
            for t in ts
        ]
        points, thick = [np.rint(np.array(hair)).astype(np.int32)], int(random.integers(1, 3))
        cv2.polylines(scene.picture, points, False, shade, thick, cv2.LINE_AA)
        cv2.polylines(covered, points, False, 255, thick, cv2.LINE_AA)
    hidden = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) / np.float32(255)
    above = scene.map_of([(-2, -3), (2, -3), (2, -0.15), (-2, -0.15)], 2)  # hair above the eyes is no cover
    scene.covered = np.maximum(scene.covered * (1 - hidden), hidden * (above < 0.5))
    scene.unsure = np.maximum(scene.unsure, hidden * (above >= 0.5))


def _fist(scene: Scene, target: NDArray[np.float64]) -> None:
    """A fist or a bent hand: rounded fingers side by side, in the face's own colours."""
    random, n = scene.random, scene.side
    y, x = np.rint(scene.at(random.choice([-0.4, 0.4]), 0.6)[::-1]).astype(int).clip(3, n - 4)
    own = np.median(scene.picture[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3), axis=0)
    skin = own * random.uniform(0.7, 1.15) if random.random() < 0.8 else skin_colour(random)
    turn, end = random.uniform(-1, 1), random.choice([-1, 1])
    along, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    wide = random.uniform(0.1, 0.17)
    palm = target + along * random.uniform(0.4, 0.7) + across * wide * random.uniform(-2, 2)
    places = [(palm, random.uniform(0.35, 0.6), random.uniform(0.35, 0.55))]
    for finger in range(int(random.integers(2, 5))):
        place = target + across * end * (finger - 1.5) * 1.7 * wide + along * random.normal(0, 0.04)
        places.append((place, wide, random.uniform(0.2, 0.4)))
    for place, half, high in places:
        area, far = _ellipse(scene, place, half, high, -turn)
        made = skin * (1 + 0.03 * smooth_noise(n, n / 12, random))
        made *= _round(far, random.uniform(0.4, 0.8), random)
        scene.put(np.clip(made, 0, 1).astype(np.float32), area, hides=True)


def _stick(scene: Scene, target: NDArray[np.float64], angle: float, width: float) -> Map:
    along = np.array([np.cos(angle), abs(np.sin(angle))])
    across = width * np.array([-along[1], along[0]])
    ends = (target, target + 3 * along)
    corners = [ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across]
    return scene.map_of([tuple(c.tolist()) for c in corners], scene.random.uniform(0.3, 1.2), 1)


def _hand(scene: Scene, target: NDArray[np.float64], angle: float) -> None:
    random, n = scene.random, scene.side
    y, x = np.rint(scene.at(random.choice([-0.4, 0.4]), 0.6)[::-1]).astype(int).clip(3, n - 4)
    own = np.median(scene.picture[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3), axis=0)
    tone = own * random.uniform(0.7, 1.15) if random.random() < 0.8 else skin_colour(random)
    skin = tone * (1 + 0.03 * smooth_noise(n, n / 12, random)) + random.normal(0, 0.008, (n, n, 1))
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    palm = target + along * random.uniform(0.7, 1.0)
    width = random.uniform(0.13, 0.2)
    knuckles = [
        tuple((palm + random.uniform(0.35, 0.55) * np.array([np.cos(t), np.sin(t)])).tolist())
        for t in np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ]
    parts = [scene.map_of(knuckles, 1.0), _stick(scene, palm, angle, 0.35)] if random.random() < 0.8 else []
    for finger in range(int(random.integers(1, 5))):
        base = palm + across * (finger - 1.5) * width * 1.9
        tip = base - along * random.uniform(0.5, 1.1) + across * random.normal(0, 0.1)
        side = width / 2 * across
        end = 0.12 * (tip - base)
        corners = [base + side, tip + side, tip + end, tip - side, base - side]
        parts.append(scene.map_of([tuple(c.tolist()) for c in corners], random.uniform(0.4, 1.2), 2))
    for part in parts:
        rim = cv2.GaussianBlur(part, (0, 0), scene.unit * random.uniform(0.03, 0.08))
        shaded = (
            skin
            * (random.uniform(0.45, 0.8) + (1 - random.uniform(0.45, 0.8)) * np.clip(2 * rim - 0.7, 0, 1))[
                ..., None
            ]
        )
        if random.random() < 0.5:  # its shadow on the face
            scene.picture *= (1 - random.uniform(0, 0.5) * cv2.GaussianBlur(part, (0, 0), scene.unit * 0.07))[
                ..., None
            ]
        scene.put(np.clip(shaded, 0, 1).astype(np.float32), part, hides=True)


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
    areas = [scene.map_of(_jitter(scene, points, 0.015), random.uniform(0.6, 2.5))]
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
        areas.append(scene.map_of(_jitter(scene, chin, 0.03), random.uniform(1.5, 4)))
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
        hard = scene.map_of(_jitter(scene, band, 0.03), random.choice([0.7, 2, 4]) + softer, 2)
        upper = scene.map_of([(-2, top), (2, top), (2, 3), (-2, 3)], 0.12 * scene.unit, 0)
        dark = np.asarray(hard * upper, np.float32)
    else:
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        wide, high, y0 = random.uniform(0.2, 0.38), random.uniform(0.1, 0.24), random.uniform(-0.12, 0.02)
        soft = random.uniform(0.8, 5) + softer
        for x0, share in zip((-0.43, 0.43), each, strict=True):
            ring = [(x0 + wide * np.cos(t), y0 + high * np.sin(t)) for t in angles]
            dark = np.maximum(dark, np.float32(share) * scene.map_of(_jitter(scene, ring, 0.02), soft))
    scene.picture = np.asarray(scene.picture * (1 - deep * dark[..., None]), np.float32)


def fringe(scene: Scene) -> None:
    """Hair over forehead and brows, or a hat: they belong to the head."""
    random = scene.random
    if random.random() < 0.4:
        low = random.uniform(-0.9, -0.4)
        points = [(-1.3, low + 0.1), (0, low), (1.3, low + 0.1), (1.3, -2.5), (-1.3, -2.5)]
        share = scene.map_of(
            _jitter(scene, points, 0.05), random.uniform(0.3, 1.2), int(random.integers(0, 3))
        )
        scene.put(_lit(scene, texture(scene.side, random, scene.others)), share, hides=False)
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


COVERS: tuple[tuple[Callable[[Scene], None], float], ...] = (
    (mask, 0.2),
    (glasses, 0.2),
    (bar, 0.1),
    (mosaic, 0.14),
    (blurred, 0.08),
    (held, 0.5),
)
"""Things that hide a face, and how often each is drawn."""
HARMLESS: tuple[tuple[Callable[[Scene], None], float], ...] = (
    (dark_skin, 0.3),
    (beard, 0.12),
    (moustache, 0.15),
    (sockets, 0.3),
    (fringe, 0.2),
    (make_up, 0.2),
    (shadow, 0.2),
    (scratches, 0.1),
)
"""Things that hide nothing, each with its own probability."""
