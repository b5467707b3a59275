"""The network's training input: crops between the damaged one and the truth.

The runtime's loop feeds each pass the current estimate (in a `renewed` package), so training uses such
estimates: mixtures of damaged crop and truth (Delbracio and Milanfar, *Inversion by Direct Iteration*, 2023),
and the network's own estimates after a pass or two.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from training.crops import Batch, sent

WHOLE = 0.5
"""Share of the crops that are given fully damaged: each loop begins there."""
LEAST = 0.05
"""Smallest share of the damaged crop in the others."""
ETA = 0.1
LEAPS = (3, 4, 6, 13, 15)
"""Steps between two passes in the schedules of two and five passes, 30 of η = 0.1."""
MOST = 3
"""Passes before the network's own estimate is given to it."""


def mixed(batch: Batch, rng: Generator) -> tuple[Tensor, Tensor]:
    """Return crops (1 − t) x + t y between the target x and the damaged crop y, and t, B."""
    count = len(batch.degraded)
    share = rng.uniform(LEAST, 1, count)
    share[rng.random(count) < WHOLE] = 1
    t = sent(share.astype(np.float32), batch.degraded.device)[:, None, None, None]
    return batch.target + t * (batch.degraded - batch.target), t.flatten()


@torch.no_grad()
def own_estimate(
    restore: Callable[[Tensor], Tensor], degraded: Tensor, rng: Generator
) -> tuple[Tensor, Tensor]:
    """Return the loop's estimate after one to three passes, and the remaining share, B.

    restore  returns what the network makes of crops
    """
    leaps = [int(leap) for leap in rng.choice(LEAPS, rng.integers(1, MOST, endpoint=True))]
    left = torch.full((len(degraded),), (1 - ETA) ** sum(leaps), device=degraded.device)
    return after(restore, degraded, leaps), left


@torch.no_grad()
def after(restore: Callable[[Tensor], Tensor], degraded: Tensor, leaps: list[int]) -> Tensor:
    """Return the estimate after passes, each followed by that many steps towards its result."""
    estimate = degraded
    for leap in leaps:
        made = restore(estimate).clamp(-1, 1)
        estimate = made + (1 - ETA) ** leap * (estimate - made)
    return estimate
