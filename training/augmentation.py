"""Augmented views of the portraits, because there are only a few hundred people.

All geometric changes are one warp, so that a portrait is interpolated once; light and colours follow. A share
of the views is only mirrored, so that the network also sees portraits at full sharpness.
"""

import math
from dataclasses import dataclass

import cv2
import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from base.errors import SettingsError
from runtime.faces.align import TEMPLATES
from runtime.pixels import LUMA
from training.damage.blurring import Picture

BENDS = 5
"""Points per side that a bend moves; it is smooth between them."""
SHADE = 32
"""Points per side at which shadows are drawn."""
PATCHES = 4
"""Points per side of light that varies over the face."""


class Augmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far views may differ from the portrait; each value is drawn evenly from both sides of zero."""

    still: float = 0.25
    """Share of views that are not moved, only mirrored."""
    turn: float = 8.0
    """Degrees."""
    scale: float = 0.15
    aspect: float = 0.05
    """Width over height."""
    shift: float = 0.04
    """As a share of the side, like the next two."""
    perspective: float = 0.05
    """Largest difference in length between opposite sides."""
    bend: float = 0.012
    """Largest shift of the points of a coarse grid, which changes the shape of the face."""
    light: float = 0.25
    """Brightness, as a share."""
    contrast: float = 0.2
    gamma: float = 0.25
    tint: float = 0.07
    """Of each colour channel."""
    saturation: float = 0.35
    shadow: float = 0.0
    """Share of views in uneven light, as outdoors: some parts of the face darker, the eyes in shadow."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            most = 45.0 if name == "turn" else 1.0 if name in ("still", "shadow") else 0.6
            if not 0 <= value <= most:
                raise SettingsError(f"augmentation {name} is {value:g}: give 0 to {most:g}")


@dataclass(frozen=True)
class View:
    """One view of one portrait."""

    matrix: NDArray[np.float64]
    """3×3, view → portrait, in coordinates from −1 to 1 across the picture."""
    bend: NDArray[np.float64]
    """2×BENDS×BENDS, added to the matrix's result."""
    colours: NDArray[np.float64]
    """3×4: linear in R, G, B and 1, of pixels in [0, 1]; applied before the power."""
    power: float
    shade: NDArray[np.float32] | None = None
    """SHADE×SHADE, factor of the light across the view; smooth between its points."""


def draw_view(rng: Generator, amount: Augmentation) -> View:
    """Draw a view."""

    def around(most: float, *shape: int) -> NDArray[np.float64]:
        return np.asarray(rng.uniform(-most, most, shape))

    still = rng.random() < amount.still
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn, scale, aspect = (
        float(around(most)) for most in (math.radians(amount.turn), amount.scale, amount.aspect)
    )
    shift, perspective = around(2 * amount.shift, 2), around(amount.perspective, 2)
    bend = around(2 * amount.bend, 2, BENDS, BENDS)
    matrix = np.diag([mirror, 1.0, 1.0])
    if still:
        bend = np.zeros_like(bend)
    else:
        cosine, sine = math.cos(turn), math.sin(turn)
        turning = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        wide, high = (math.exp(-scale + sign * aspect / 2) for sign in (1, -1))
        moving = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [*perspective, 1]])
        matrix = moving @ turning @ np.diag([wide, high, 1.0]) @ matrix

    gain = (1 + float(around(amount.light))) * (1 + around(amount.tint, 3))
    contrast, saturation = 1 + float(around(amount.contrast)), 1 + float(around(amount.saturation))
    grey = np.tile(LUMA, (3, 1))
    mix = gain[:, None] * (grey + saturation * (np.eye(3) - grey))
    # Contrast changes around middle grey.
    colours = np.column_stack([contrast * mix, np.full(3, 0.5 - contrast * 0.5)])
    power = math.exp(float(around(amount.gamma)))
    shade = _shade(rng, matrix) if rng.random() < amount.shadow else None
    return View(matrix, bend, colours, power, shade)


def _shade(rng: Generator, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Draw uneven light with both eyes in shadow; `matrix` as in `View`."""
    eyes = np.column_stack([2 * TEMPLATES["published"][:2] - 1, np.ones(2)])
    seen = eyes @ np.linalg.inv(matrix).T  # where they are in the view
    return shaded_eyes(rng, seen[:, :2] / seen[:, 2:], np.full(2, rng.uniform(0, 0.7)))


def shaded_eyes(
    rng: Generator, eyes: NDArray[np.float64], depths: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Draw light that varies smoothly, with shadow in the eye sockets: SHADE×SHADE factors.

    eyes    2×2, from −1 to 1 across the picture
    depths  share of the light that is missing in the middle of each shadow
    """
    patches = rng.normal(0, rng.uniform(0, 0.3), (PATCHES, PATCHES)).astype(np.float32)
    light = np.exp(cv2.resize(patches, (SHADE, SHADE), interpolation=cv2.INTER_CUBIC))
    line = (2 * np.arange(SHADE) + 1) / SHADE - 1
    apart = float(np.hypot(*(eyes[1] - eyes[0])))
    width, lift = apart * rng.uniform(0.19, 0.48), apart * rng.uniform(-0.05, 0.14)
    for (x, y), depth in zip(eyes, depths, strict=True):
        distance = (line[None] - x) ** 2 + (line[:, None] - y + lift) ** 2
        light *= 1 - depth * np.exp(-distance / (2 * width**2))
    return np.asarray(light, np.float32)


def augment(portrait: NDArray[np.uint8], view: View, size: int) -> Picture:
    """Return a view, size×size×3, whole levels in [0, 255].

    portrait  E×E×3 uint8; one of at least twice the size is sampled twice as finely and averaged
    """
    finer = 2 if len(portrait) >= 2 * size else 1
    edge = finer * size
    if len(portrait) > 1.2 * edge:
        portrait = np.asarray(cv2.resize(portrait, (edge, edge), interpolation=cv2.INTER_AREA), np.uint8)
    places = (_grid(view, edge) + 1) * np.float32(len(portrait) / 2) - np.float32(0.5)
    sampled = cv2.remap(
        portrait,
        np.ascontiguousarray(places[..., 0]),
        np.ascontiguousarray(places[..., 1]),
        # Samples that are averaged afterwards need only simple interpolation.
        cv2.INTER_CUBIC if finer == 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if finer > 1:
        sampled = cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)
    light = cv2.transform(sampled.astype(np.float32) / np.float32(255), view.colours.astype(np.float32))
    if view.shade is not None:
        light = light * cv2.resize(view.shade, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.asarray(np.rint(np.clip(light, 0, 1) ** np.float32(view.power) * 255), np.float32)


def _grid(view: View, size: int) -> NDArray[np.float32]:
    """Return the position in the portrait of each pixel of a view, size×size×2 in [−1, 1], x first."""
    line = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    flat = np.stack([*np.meshgrid(line, line), np.ones((size, size), np.float32)])
    led = np.einsum("ij,jhw->hwi", view.matrix.astype(np.float32), flat)
    grid = led[..., :2] / led[..., 2:]
    if view.bend.any():
        coarse = np.ascontiguousarray(view.bend.transpose(1, 2, 0), np.float32)
        smooth = cv2.resize(coarse, (8 * BENDS, 8 * BENDS), interpolation=cv2.INTER_CUBIC)
        grid = grid + cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grid, np.float32)
