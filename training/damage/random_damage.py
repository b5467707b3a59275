"""Damage to a crop: drawing its parameters and applying it. Both depend only on the random generator."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from portraits.damage import Ranges, compressed
from training.damage.blurring import Blur, Picture, blur
from training.damage.noises import Noise, add_noise
from training.damage.printing import halftone
from training.damage.scratching import Mark, draw_marks, scratch
from training.damage.tones import GAMMA, PLAIN, Tone, toned

Step: TypeAlias = Literal["blur", "scratch", "print", "shrink", "noise", "jpeg"]
Kernel: TypeAlias = Literal["area", "linear", "cubic", "nearest"]
PUBLISHED: tuple[Step, ...] = ("blur", "shrink", "noise", "jpeg")
LIGHT = 0.25
"""The largest part of the ranges that counts as light damage."""
LEAST_SIZE = 8
"""Pixels per side below which nothing is shrunk."""
SHARP, QUIET = Blur(0, 0), Noise("white", 0)
KERNELS: dict[Kernel, int] = {
    "area": cv2.INTER_AREA,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST,
}


@dataclass(frozen=True)
class Damage:
    """All damage to one crop; without steps the crop is unchanged."""

    steps: tuple[Step, ...] = ()
    """In this order; enlarging comes last."""
    tone: Tone = PLAIN
    blur: Blur = SHARP
    """In pixels of the crop at full size."""
    focus: float = 0.0
    """Direction in radians in which uneven blur grows across the crop; 0 is even."""
    size: int = 0
    """Side of the shrunk crop in pixels."""
    shrink_kernel: Kernel = "area"
    enlarge_kernel: Kernel = "cubic"
    noise: Noise = QUIET
    quality: int = 100
    marks: tuple[Mark, ...] = field(default=(), repr=False)
    screen: float = 0.0
    """Period of a halftone screen, in pixels of the crop at full size."""

    @property
    def untouched(self) -> bool:
        """Return whether the crop is its own target."""
        return not self.steps


def draw(rng: Generator, ranges: Ranges, size: int) -> Damage:
    """Draw the damage to a crop of S = size; the shares of `ranges` are independent of each other."""

    def happens(share: float) -> bool:
        return bool(rng.random() < share)

    untouched, dark = happens(ranges.untouched), happens(ranges.low_light)
    if happens(ranges.light):
        ranges = ranges.begun(rng.uniform(0, LIGHT))
    tone = _draw_tone(rng, ranges)
    if untouched:
        return Damage(tone=tone, size=size)
    steps: list[Step] = list(PUBLISHED)
    if happens(ranges.single):
        steps = [_any_step(rng)]
    elif happens(ranges.partial):
        steps = [step for step in steps if rng.random() < 0.5] or [_any_step(rng)]
    if dark and "noise" not in steps:
        steps.insert(sum(step in ("blur", "shrink") for step in steps), "noise")
    scratched, printed = happens(ranges.scratches), happens(ranges.halftone)
    if scratched:
        steps.insert(int("blur" in steps), "scratch")
    if printed:
        steps.insert(int("blur" in steps), "print")
    if happens(ranges.shuffled):
        steps = [steps[i] for i in rng.permutation(len(steps))]
    noise = _draw_noise(rng, ranges)
    if tone.colours != "as they are":
        noise = replace(noise, coloured=False)
    if dark:
        exposure = rng.uniform(*ranges.exposure)
        brightened = rng.uniform(0.5, 1.0)  # of the way back
        gain = exposure**-brightened
        tone = Tone(tone.colours, tone.strength, light=exposure * gain)
        noise = Noise("dark", max(noise.sigma, 4.0), noise.coloured, gain=gain ** (1 / GAMMA))
    other = happens(ranges.other_kernels)
    names = tuple(KERNELS)
    return Damage(
        steps=tuple(steps),
        tone=tone,
        blur=_draw_blur(rng, ranges, size),
        focus=rng.uniform(0, 2 * np.pi) if happens(ranges.uneven_focus) else 0.0,
        size=max(LEAST_SIZE, round(size / rng.uniform(*ranges.downscale))) if "shrink" in steps else size,
        shrink_kernel=names[rng.integers(len(names))] if other else "area",
        enlarge_kernel=names[rng.integers(1, len(names))] if other else "cubic",
        noise=noise,
        quality=int(rng.integers(*ranges.jpeg, endpoint=True)),
        marks=draw_marks(rng) if scratched else (),
        screen=rng.uniform(*ranges.screen) * size / 512,
    )


def _any_step(rng: Generator) -> Step:
    return PUBLISHED[rng.integers(len(PUBLISHED))]


def _draw_tone(rng: Generator, ranges: Ranges) -> Tone:
    which, strength = rng.random(), rng.uniform(0.3, 1.0)
    if which < ranges.grey:
        return Tone("grey")
    if which < ranges.grey + ranges.sepia:
        return Tone("sepia", strength)
    return PLAIN


def _draw_blur(rng: Generator, ranges: Ranges, size: int) -> Blur:
    along = rng.uniform(*ranges.blur) * size / 512
    across = along * rng.uniform(0.2, 1.0) if rng.random() < ranges.uneven_blur else along
    length = rng.uniform(*ranges.motion_length) * size / 512 if rng.random() < ranges.motion else 0.0
    return Blur(along, across, rng.uniform(0, np.pi), length)


def _draw_noise(rng: Generator, ranges: Ranges) -> Noise:
    sigma, which, coloured = rng.uniform(*ranges.noise), rng.random(), rng.random() < 0.85
    if which < ranges.grain:
        return Noise("grain", sigma, coloured=rng.random() < 0.3, grain_size=rng.uniform(*ranges.grain_size))
    return Noise("shot" if which < ranges.grain + ranges.shot_noise else "white", sigma, coloured=coloured)


def damage(crop: Picture, what: Damage, rng: Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the damaged crop and its target, which is the crop in the damage's light and colours.

    crop  S×S×3 float32, levels in [0, 255]
    rng   for drawing the noise
    """
    size = len(crop)
    target = toned(crop, what.tone)
    result = target
    for step in what.steps:
        result = _ACTS[step](result, what, len(result) / size, rng)
    if len(result) < size:
        whole = cv2.resize(result, (size, size), interpolation=KERNELS[what.enlarge_kernel])
        result = np.asarray(whole, np.float32)
    return _levels(result), _levels(target)


def _levels(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


Act: TypeAlias = Callable[[Picture, Damage, float, Generator], Picture]


def _blur(picture: Picture, what: Damage, scale: float, _: Generator) -> Picture:
    blurred = blur(picture, what.blur.scaled(scale))
    if not what.focus:
        return blurred
    line = np.linspace(-1, 1, len(picture), dtype=np.float32)
    slope = line[None, :] * np.float32(np.cos(what.focus)) + line[:, None] * np.float32(np.sin(what.focus))
    share = np.clip(slope + 0.5, 0, 1)[..., None]
    return np.asarray(picture + share * (blurred - picture), np.float32)


def _scratch(picture: Picture, what: Damage, _: float, __: Generator) -> Picture:
    return scratch(picture, what.marks)


def _print(picture: Picture, what: Damage, scale: float, rng: Generator) -> Picture:
    return halftone(picture, what.screen * scale, float(rng.uniform(0, np.pi / 2)))


def _shrink(picture: Picture, what: Damage, _: float, __: Generator) -> Picture:
    size = (what.size, what.size)
    return np.asarray(cv2.resize(picture, size, interpolation=KERNELS[what.shrink_kernel]), np.float32)


def _noise(picture: Picture, what: Damage, _: float, rng: Generator) -> Picture:
    return add_noise(picture, what.noise, rng)


def _jpeg(picture: Picture, what: Damage, _: float, __: Generator) -> Picture:
    return np.asarray(compressed(_levels(picture), what.quality), np.float32)


_ACTS: dict[Step, Act] = {
    "blur": _blur,
    "scratch": _scratch,
    "print": _print,
    "shrink": _shrink,
    "noise": _noise,
    "jpeg": _jpeg,
}
