"""An endless supply of training pairs from portraits, made by processes and kept on the training device.

A process draws a portrait, a view and a damage for each pair, block by block; the trainer copies finished
blocks into a reservoir on its device and draws its batches from there, so that it never waits. If crops are
used faster than they are made, each is used a few times, at another distance from its target.
"""

import multiprocessing
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from portraits.damage import Portrait, Ranges
from training.augmentation import Augmentation, augment, draw_view
from training.damage.random_damage import damage, draw

BLOCK = 16
"""Crops that a process delivers at a time."""
AHEAD = 3
"""Number of blocks that each process may be ahead."""
SOFT = 0.3
"""How often a portrait smaller than the crop is drawn, relative to one that is as large: enlarged, it is
soft.
"""
ONCE = 3
"""Blocks that are taken before a step: the device waits meanwhile."""
PATIENCE = 120.0
"""Seconds without a block after which the processes are considered dead."""
LOOK = 5.0
"""Seconds without work after which a process checks that the trainer still exists."""


@dataclass(frozen=True)
class Stage:
    """The kind of crops to make."""

    size: int
    ranges: Ranges
    augmentation: Augmentation


@dataclass(frozen=True)
class Batch:
    """The input of one training step."""

    degraded: Tensor
    """B×3×S×S in [−1, 1]."""
    target: Tensor
    """B×3×S×S in [−1, 1]."""
    untouched: Tensor
    """B bool: the crop is its own target."""


def make_pair(portraits: Sequence[Portrait], stage: Stage, rng: Generator) -> tuple[Portrait, Portrait]:
    """Return a damaged crop and its target, S×S×3 uint8; portrait, view and damage are drawn from rng."""
    portrait = portraits[int(rng.integers(len(portraits)))]
    while len(portrait) < stage.size and rng.random() > SOFT:
        portrait = portraits[int(rng.integers(len(portraits)))]
    crop = augment(portrait, draw_view(rng, stage.augmentation), stage.size)
    return damage(crop, draw(rng, stage.ranges, stage.size), rng)


class Reservoir:
    """Pairs on a device, continually replaced by processes."""

    def __init__(
        self,
        portraits: Sequence[Portrait],
        stages: Sequence[Stage],
        *,
        capacity: int,
        workers: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """Start the processes, which wait for `begin`.

        capacity  number of pairs that are kept, at least two blocks
        seed      of the random draws
        """
        context = multiprocessing.get_context("spawn")
        flat = np.concatenate([portrait.reshape(-1) for portrait in portraits])
        self._portraits = context.RawArray("B", len(flat))
        np.frombuffer(self._portraits, np.uint8)[:] = flat
        most = max(stage.size for stage in stages)
        self._blocks = context.RawArray("B", workers * AHEAD * BLOCK * 2 * most * most * 3)
        self._free: Any = context.Queue()
        self._full: Any = context.Queue()
        self._wanted = context.RawValue("i", 0)
        self._stages, self._device = tuple(stages), device
        self._capacity, self._rng = max(capacity, 2 * BLOCK), np.random.default_rng((seed, 1))
        self._pairs = torch.empty(0)
        self._filled = self._next = 0
        self.made = 0
        """Pairs delivered since `begin`."""
        for number in range(workers * AHEAD):
            self._free.put(number)
        edges = [len(portrait) for portrait in portraits]
        work = (self._portraits, edges, self._blocks, self._free, self._full, self._wanted, self._stages)
        self._workers = [
            context.Process(target=_work, args=(*work, (seed, number)), daemon=True)
            for number in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    def begin(self, number: int) -> None:
        """Make crops of that stage from now on."""
        self._wanted.value = number
        size = self._stages[number].size
        self._pairs = torch.empty((self._capacity, 2, size, size, 3), dtype=torch.uint8, device=self._device)
        self._filled = self._next = self.made = 0

    def draw(self, batch: int) -> Batch:
        """Return a batch of the available pairs; waits for the first blocks.

        Raises RuntimeError if the processes have ended.
        """
        while self._filled < min(batch, self._capacity // 2):
            self._take(wait=True)
        for _ in range(ONCE):
            if not self._take(wait=False):
                break
        chosen = torch.from_numpy(self._rng.integers(self._filled, size=batch)).to(self._device)
        pairs = self._pairs[chosen].permute(1, 0, 4, 2, 3).float().div_(127.5).sub_(1)
        degraded, target = pairs[0].contiguous(), pairs[1].contiguous()
        return Batch(degraded, target, (degraded == target).flatten(1).all(1))

    def _take(self, *, wait: bool) -> bool:
        """Copy a finished block to the device; return whether there was one."""
        try:
            number, stage = self._full.get(timeout=PATIENCE) if wait else self._full.get_nowait()
        except queue.Empty:
            if wait:
                raise RuntimeError("the processes that make crops have ended") from None
            return False
        if stage == self._wanted.value:
            block = torch.from_numpy(_block(self._blocks, number, self._stages[stage].size, self._stages))
            if self._next + BLOCK > self._capacity:
                self._next = 0
            self._pairs[self._next : self._next + BLOCK].copy_(block)
            self._next += BLOCK
            self._filled = max(self._filled, self._next)
            self.made += BLOCK
        self._free.put(number)
        return True

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()

    def __enter__(self) -> "Reservoir":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _block(blocks: Any, number: int, size: int, stages: Sequence[Stage]) -> NDArray[np.uint8]:
    """Return a block of shared memory as BLOCK×2×S×S×3."""
    most = max(stage.size for stage in stages)
    room = BLOCK * 2 * most * most * 3
    flat = np.frombuffer(blocks, np.uint8, BLOCK * 2 * size * size * 3, number * room)
    return flat.reshape(BLOCK, 2, size, size, 3)


def _work(
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
        block = _block(blocks, number, stages[stage].size, stages)
        for pair in block:
            pair[:] = make_pair(views, stages[stage], rng)
        full.put((number, stage))
