"""Damage to a batch: what is drawn for each crop, and how it is done, on the device of the batch.

Drawing is NumPy's and takes no time; doing is torch's. Each crop has its own parameters and its own order of
steps; crops that have the same step next go through it together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from training.blurring import Blur, blur
from training.degradation import Ranges
from training.jpeg import through_jpeg
from training.noises import Noise, add_noise
from training.resampling import KERNELS, Kernel, enlarge, shrink
from training.scratching import Mark, draw_marks, scratch
from training.tones import GAMMA, PLAIN, Tone, toned

Step: TypeAlias = Literal["blur", "scratch", "shrink", "noise", "jpeg"]
PUBLISHED: tuple[Step, ...] = ("blur", "shrink", "noise", "jpeg")
LIGHT = 0.25
"""The largest part of the ranges that counts as light damage."""
LEAST_SIZE = 8
"""Pixels a side below which nothing is shrunk."""
SHARP, QUIET = Blur(0, 0, 0), Noise("white", 0)


@dataclass(frozen=True)
class Damage:
    """All that is done to one crop; no steps leave it as it is."""

    steps: tuple[Step, ...] = ()
    """In their order; enlarging comes last."""
    tone: Tone = PLAIN
    blur: Blur = SHARP
    """In pixels of the whole crop."""
    size: int = 0
    """Side of the shrunk crop in pixels."""
    shrink_kernel: Kernel = "area"
    enlarge_kernel: Kernel = "cubic"
    noise: Noise = QUIET
    quality: int = 100
    marks: tuple[Mark, ...] = field(default=(), repr=False)

    @property
    def untouched(self) -> bool:
        """Tell whether the crop is its own target."""
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
    scratched = happens(ranges.scratches)
    if scratched:
        steps.insert(int("blur" in steps), "scratch")
    if happens(ranges.shuffled):
        steps = [steps[i] for i in rng.permutation(len(steps))]
    noise = _draw_noise(rng, ranges)
    if tone.colours != "as they are":
        noise = replace(noise, coloured=False)
    if dark:
        exposure = rng.uniform(*ranges.exposure)
        brightened = rng.uniform(0.3, 1.0)  # of the way back
        gain = exposure**-brightened
        tone = Tone(tone.colours, tone.strength, light=exposure * gain)
        noise = Noise("dark", max(noise.sigma, 4.0), noise.coloured, gain=gain ** (1 / GAMMA))
    other = happens(ranges.other_kernels)
    return Damage(
        steps=tuple(steps),
        tone=tone,
        blur=_draw_blur(rng, ranges, size),
        size=max(LEAST_SIZE, round(size / rng.uniform(*ranges.downscale))) if "shrink" in steps else size,
        shrink_kernel=KERNELS[rng.integers(len(KERNELS))] if other else "area",
        enlarge_kernel=KERNELS[rng.integers(1, len(KERNELS))] if other else "cubic",
        noise=noise,
        quality=int(rng.integers(*ranges.jpeg, endpoint=True)),
        marks=draw_marks(rng) if scratched else (),
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


def damage(crops: Tensor, damages: Sequence[Damage], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the damaged crops and their targets, which are the crops in the damage's light and colours.

    crops      B×3×S×S float32, whole levels in [0, 255]; S a multiple of 16
    generator  of their device; the noise is drawn from it
    """
    size = crops.shape[-1]
    targets = toned(crops, [d.tone for d in damages])
    result, sizes = targets.clone(), [size] * len(damages)
    for turn in range(max(len(d.steps) for d in damages)):
        for step, act in _ACTS.items():
            members = [i for i, d in enumerate(damages) if d.steps[turn : turn + 1] == (step,)]
            if members:
                chosen = [damages[i] for i in members]
                scales = [sizes[i] / size for i in members]
                result[members] = act(result[members], chosen, scales, generator)
                if step == "shrink":
                    for i in members:
                        sizes[i] = damages[i].size
    members = [i for i in range(len(damages)) if sizes[i] < size]
    if members:
        kernels = [damages[i].enlarge_kernel for i in members]
        result[members] = enlarge(result[members], [sizes[i] for i in members], kernels)
    return result.round().clamp(0, 255), targets


Act: TypeAlias = Callable[[Tensor, Sequence[Damage], Sequence[float], torch.Generator], Tensor]


def _blur(crops: Tensor, damages: Sequence[Damage], scales: Sequence[float], _: torch.Generator) -> Tensor:
    pairs = zip([d.blur for d in damages], scales, strict=True)
    return blur(crops, [Blur(b.along * s, b.across * s, b.angle, b.length * s) for b, s in pairs])


def _scratch(crops: Tensor, damages: Sequence[Damage], scales: Sequence[float], _: torch.Generator) -> Tensor:
    return scratch(crops, [d.marks for d in damages])


def _shrink(crops: Tensor, damages: Sequence[Damage], scales: Sequence[float], _: torch.Generator) -> Tensor:
    return shrink(crops, [d.size for d in damages], [d.shrink_kernel for d in damages])


def _noise(crops: Tensor, damages: Sequence[Damage], scales: Sequence[float], g: torch.Generator) -> Tensor:
    return add_noise(crops, [d.noise for d in damages], g)


def _jpeg(crops: Tensor, damages: Sequence[Damage], scales: Sequence[float], _: torch.Generator) -> Tensor:
    return through_jpeg(crops, [d.quality for d in damages])


_ACTS: dict[Step, Act] = {
    "blur": _blur,
    "scratch": _scratch,
    "shrink": _shrink,
    "noise": _noise,
    "jpeg": _jpeg,
}
