"""Training pairs: strips around the eyes of damaged portraits, as the bundled package restores them."""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from base.files import write_atomically
from engines.package import open_package
from portraits.damage import Portrait, Ranges
from runtime.network.backends import Backend, open_backend
from runtime.network.eyes import SIZE, STRIP
from runtime.network.loop import restore_crops
from runtime.pixels import Crops, as_float
from runtime.settings.settings import RestoreSettings
from training.augmentation import Augmentation
from training.pairs import Stage, make_pair

BLOCK = 8
"""Pairs in a file."""

OLD = Stage(
    SIZE,
    Ranges(
        blur=(0.5, 7.0),
        downscale=(2.2, 6.8),
        noise=(0.0, 16.0),
        jpeg=(40, 100),
        untouched=0.0,
        light=0.1,
        single=0.05,
        partial=0.1,
        shuffled=0.1,
        grey=0.55,
        sepia=0.02,
        grain=0.4,
        grain_size=(0.5, 2.0),
        shot_noise=0.1,
        motion=0.03,
        uneven_focus=0.05,
        scratches=0.01,
        halftone=0.02,
        low_light=0.01,
    ),
    Augmentation(shadow=0.45, still=0.1, contrast=0.3),
)
"""Small faces of old photos."""

ANY = Stage(
    SIZE,
    Ranges(
        blur=(0.1, 12.0),
        downscale=(1.0, 6.0),
        noise=(0.0, 30.0),
        jpeg=(25, 100),
        untouched=0.1,
        light=0.3,
        single=0.35,
        partial=0.3,
        grey=0.3,
        sepia=0.01,
        grain=0.2,
        grain_size=(0.5, 2.5),
        shot_noise=0.15,
    ),
    Augmentation(shadow=0.35),
)
"""All kinds of photos, good ones among them."""

SHARE_OLD = 0.65

PASSES = (1, 2, 5)
"""Largest numbers of passes of the restoring network, of which one is drawn for each block."""


def make_block(portraits: Sequence[Portrait], backend: Backend, rng: Generator) -> NDArray[np.uint8]:
    """Return BLOCK×3×3×H×W: the strip that the restoring network was shown, its result, and the truth.

    portraits  aligned, of any size
    """
    stages = [OLD if rng.random() < SHARE_OLD else ANY for _ in range(BLOCK)]
    pairs = [make_pair(portraits, stage, rng) for stage in stages]
    crops, truth = (as_float(np.stack(each)) for each in zip(*pairs, strict=True))
    rho = np.ones(crops.shape[:3], np.float32)
    most = int(rng.choice(PASSES))
    loops = restore_crops(backend, crops, rho, RestoreSettings(budget=math.inf), most=most)
    return np.stack(
        [_strips(each) for each in (crops, np.stack([loop.restored for loop in loops]), truth)], 1
    )


def _strips(crops: Crops) -> NDArray[np.uint8]:
    strips = np.stack([crop[STRIP] for crop in crops]).transpose(0, 3, 1, 2)
    return np.asarray(np.rint(np.clip(strips, 0, 1) * 255), np.uint8)


def keep_making(portraits: Sequence[Portrait], folder: Path, seed: Sequence[int], most: int) -> None:
    """Write blocks into a folder until it holds this many."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    backend = open_backend("onnxruntime", open_package(), device="cpu", threads=1)
    while len(list(folder.glob("*.npy"))) < most:
        block = make_block(portraits, backend, rng)
        with write_atomically(folder / f"{rng.integers(2**48):012x}.npy") as file:
            np.save(file, block)
