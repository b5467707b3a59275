"""Training pairs of a damaged crop and its target, made block by block in processes that need no PyTorch."""

import multiprocessing
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from portraits.damage import Portrait, Ranges
from training.augmentation import Augmentation, augment, draw_view
from training.damage.random_damage import damage, draw

BLOCK = 16
"""Crops that a process delivers at a time."""
SOFT = 0.3
"""How often a portrait smaller than the crop is drawn, relative to one that is as large: enlarged, it is
soft.
"""
LOOK = 5.0
"""Seconds without work after which a process checks that the trainer still exists."""


@dataclass(frozen=True)
class Stage:
    """The kind of crops to make."""

    size: int
    ranges: Ranges
    augmentation: Augmentation


def make_pair(portraits: Sequence[Portrait], stage: Stage, rng: Generator) -> tuple[Portrait, Portrait]:
    """Return a damaged crop and its target, S×S×3 uint8; portrait, view and damage are drawn from rng."""
    portrait = portraits[int(rng.integers(len(portraits)))]
    while len(portrait) < stage.size and rng.random() > SOFT:
        portrait = portraits[int(rng.integers(len(portraits)))]
    crop = augment(portrait, draw_view(rng, stage.augmentation), stage.size)
    return damage(crop, draw(rng, stage.ranges, stage.size), rng)


def block_of(blocks: Any, number: int, size: int, stages: Sequence[Stage]) -> NDArray[np.uint8]:
    """Return a block of shared memory as BLOCK×2×S×S×3."""
    most = max(stage.size for stage in stages)
    room = BLOCK * 2 * most * most * 3
    flat = np.frombuffer(blocks, np.uint8, BLOCK * 2 * size * size * 3, number * room)
    return flat.reshape(BLOCK, 2, size, size, 3)


def make_blocks(
    portraits: Any,
    edges: Sequence[int],
    blocks: Any,
    free: Any,
    full: Any,
    wanted: Any,
    stages: Sequence[Stage],
    seed: tuple[int, int],
) -> None:
    """Fill blocks until the process is ended, or the trainer no longer exists."""
    cv2.setNumThreads(0)
    flat = np.frombuffer(portraits, np.uint8)
    ends = np.cumsum([3 * edge * edge for edge in edges])
    views = [
        flat[end - 3 * edge * edge : end].reshape(edge, edge, 3)
        for end, edge in zip(ends, edges, strict=True)
    ]
    rng, trainer = np.random.default_rng(seed), multiprocessing.parent_process()
    while True:
        try:
            number, stage = free.get(timeout=LOOK), wanted.value
        except queue.Empty:
            if trainer is None or not trainer.is_alive():
                return
            continue
        block = block_of(blocks, number, stages[stage].size, stages)
        for pair in block:
            pair[:] = make_pair(views, stages[stage], rng)
        full.put((number, stage))
