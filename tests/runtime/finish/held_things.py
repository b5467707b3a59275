"""Things that are held before a face, and damage."""

import cv2
import numpy as np
from numpy.typing import NDArray

NONE = np.zeros(3, np.float32)


def thing(kind: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Something to hold before a crop of 256 pixels: its colours, 0 to 1, and its coverage, finely drawn."""
    fine = 4
    colour = np.zeros((256 * fine, 256 * fine, 3), np.float32)
    cover = np.zeros((256 * fine, 256 * fine), np.float32)

    def draw(paint, *colours):
        for picture, value in ((colour, colours[0]), (cover, 1.0)):
            paint(picture, value)

    if kind == "microphone":
        draw(lambda p, c: cv2.line(p, (540, 840), (600, 1023), c, 110), (0.1, 0.1, 0.12))
        draw(lambda p, c: cv2.circle(p, (520, 770), 100, c, -1), (0.25, 0.25, 0.27))
        for x in range(420, 630, 12):
            cv2.line(colour, (x, 670), (x, 870), (0.4, 0.4, 0.42), 4)
        colour *= cover[..., None]
    elif kind == "fingers":
        for k in range(4):
            start, end = (360, 640 + 72 * k), (760, 600 + 72 * k)
            draw(lambda p, c, a=start, b=end: cv2.line(p, a, b, c, 62), (0.62, 0.42, 0.34))
            draw(lambda p, c, a=start, b=end: cv2.line(p, a, b, c, 34), (0.82, 0.6, 0.5))
    elif kind == "food":
        for y, value in ((690, (0.8, 0.5, 0.2)), (740, (0.25, 0.55, 0.2)), (780, (0.4, 0.2, 0.12))):
            draw(lambda p, c, y=y: cv2.ellipse(p, (520, y), (190, 34), 0, 0, 360, c, -1), value)
    elif kind == "strands":
        for x in range(380, 640, 22):
            draw(lambda p, c, x=x: cv2.line(p, (x, 300), (x - 60, 900), c, 8), (0.12, 0.09, 0.07))
    else:  # rims
        for x in (400, 625):
            draw(lambda p, c, x=x: cv2.ellipse(p, (x, 480), (92, 72), 0, 0, 360, c, 14), (0.1, 0.08, 0.08))
    size = (256, 256)
    return cv2.resize(colour, size, interpolation=cv2.INTER_AREA), cv2.resize(
        cover, size, interpolation=cv2.INTER_AREA
    )


def held(crop: NDArray[np.float32], kind: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    colour, cover = thing(kind)
    return crop * (1 - cover[..., None]) + colour, cover > 0.5


def damaged(crop: NDArray[np.float32], damage: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A crop after damage, and its noise."""
    if damage == "blur":
        return cv2.GaussianBlur(crop, (0, 0), 1.5), NONE
    if damage == "noise":
        noise = np.random.default_rng(0).normal(0, 6 / 255, crop.shape).astype(np.float32)
        return np.clip(crop + noise, 0, 1), np.full(3, 6 / 255, np.float32)
    return crop, NONE


def blurred(picture: NDArray[np.float32], sigma: float = 2.5) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
