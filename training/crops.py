"""An endless supply of training pairs from portraits, made by processes and kept on the training device.

A process draws a portrait, a view and a damage for each pair, block by block; the trainer copies finished
blocks into a reservoir on its device and draws its batches from there, so that it never waits. If crops are
used faster than they are made, each is used a few times, at another distance from its target.
"""

import multiprocessing
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from portraits.damage import Portrait
from training.pairs import BLOCK, Stage, block_of, make_blocks

AHEAD = 3
"""Number of blocks that each process may be ahead."""
ONCE = 3
"""Blocks that are taken before a step: the device waits meanwhile."""
PATIENCE = 120.0
"""Seconds without a block after which the processes are considered dead."""


@dataclass(frozen=True)
class Batch:
    """The input of one training step."""

    degraded: Tensor
    """B×3×S×S in [−1, 1]."""
    target: Tensor
    """B×3×S×S in [−1, 1]."""
    untouched: Tensor
    """B bool: the crop is its own target."""


def sent(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; work that a GPU still has to do is not waited for."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


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
            context.Process(target=make_blocks, args=(*work, (seed, number)), daemon=True)
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
        chosen = sent(self._rng.integers(self._filled, size=batch), self._device)
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
            block = sent(block_of(self._blocks, number, self._stages[stage].size, self._stages), self._device)
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

    def __exit__(self, *_: object) -> None:
        self.close()
