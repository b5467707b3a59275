"""The screen of a printed photograph, as in newspapers and books."""

import cv2
import numpy as np

from training.damage.blurring import Picture

LEAST_PERIOD = 2.0
"""Pixels; finer screens cannot be drawn."""
SOFTNESS = 0.35
"""Softness of a dot's edge, as a share of the screen's amplitude: ink spreads, and scanners blur."""


def halftone(picture: Picture, period: float, angle: float) -> Picture:
    """Return a picture, H×W×3, levels in [0, 255], printed through a screen of dots.

    period  from dot to dot, in pixels
    angle   of the screen, in radians
    """
    period = max(period, LEAST_PERIOD)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    turn = np.float32(2 * np.pi / period)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    screen = 0.5 + 0.25 * (np.cos(turn * u) + np.cos(turn * v))
    ink = np.clip((picture / 255 - screen[..., None].astype(np.float32)) / SOFTNESS + 0.5, 0, 1)
    return np.asarray(cv2.GaussianBlur(ink * 255, (0, 0), period / 4), np.float32)
