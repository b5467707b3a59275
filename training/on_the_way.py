"""What the network is given: crops on the way from the damaged one to the truth.

The runtime's loop lets every pass look at the estimate so far (design of a `renewed` package), so training
shows the network such estimates: mixtures of damaged crop and truth (Delbracio and Milanfar, *Inversion by
Direct Iteration*, 2023), and estimates of its own after a pass or two.
"""

import torch
from numpy.random import Generator
from torch import Tensor

from training.crops import Batch
from training.growing import Growing

WHOLE = 0.35
"""Share of the crops that are given as damaged as they came: each loop begins there."""
LEAST = 0.05
"""Least share of the damaged crop in the others."""
ETA = 0.1
LEAPS = (3, 4, 6, 15)
"""Steps of the standard schedule, 30 of η = 0.1 with five passes, from one pass to the next."""


def mixed(batch: Batch, rng: Generator) -> tuple[Tensor, Tensor]:
    """Return crops (1 − t) x + t y between the target x and the damaged crop y, and t, B."""
    count = len(batch.degraded)
    share = rng.uniform(LEAST, 1, count)
    share[rng.random(count) < WHOLE] = 1
    t = torch.from_numpy(share).to(batch.degraded)[:, None, None, None]
    return batch.target + t * (batch.degraded - batch.target), t.flatten()


@torch.no_grad()
def own_estimate(network: Growing, degraded: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    """Return where the loop would stand after one or two passes of the network, and the share left, B."""
    leaps = [int(leap) for leap in rng.choice(LEAPS, rng.integers(1, 3))]
    left = torch.full((len(degraded),), (1 - ETA) ** sum(leaps), device=degraded.device)
    return after(network, degraded, leaps), left


@torch.no_grad()
def after(network: Growing, degraded: Tensor, leaps: list[int]) -> Tensor:
    """Return the estimate after passes, each followed by so many steps towards what it made."""
    estimate = degraded
    for leap in leaps:
        made = network(estimate).crops.float().clamp(-1, 1)
        estimate = made + (1 - ETA) ** leap * (estimate - made)
    return estimate
