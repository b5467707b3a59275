"""Things in front of a face: hands, microphones, drinks, food, flowers, leaves, books, animals, hair."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pixels import Map, Picture
from training.covered.scene import Scene, jittered, lit
from training.covered.textures import Random, colour, skin_colour, smooth_noise, texture


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
    scene.put(lit(scene, what), share, hides=True)


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
    scene.put(lit(scene, np.broadcast_to(shaft, (n, n, 3))), stick, hides=True)
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
    body = lit(scene, np.broadcast_to(fluid, (n, n, 3)))
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
    share = scene.map_of(jittered(scene, points, 0.05), random.uniform(0.3, 1.5), int(random.integers(0, 2)))
    scene.put(lit(scene, texture(scene.side, random, scene.others)), share, hides=True)


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
