"""The moving average of a network's weights, which is the result of a training."""

import torch
from torch import Tensor


@torch.no_grad()
def move_average(averaged: list[Tensor], now: list[Tensor], steps: int, most: float) -> None:
    """Move an average towards new values, in place; it forgets a beginning quickly at first, slowly later.

    steps  that were taken so far
    most   the decay that is reached in the end
    """
    decay = min(most, (1 + steps) / (10 + steps))
    torch._foreach_lerp_(averaged, now, 1 - decay)
