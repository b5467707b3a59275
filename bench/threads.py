"""The number of threads that currently speeds a network up on this machine."""

import time

from base.parallel import cores
from bench.timing import median, threads_that_pay

CHANNELS, SIDE, TIMES = 64, 128, 5
"""Of a convolution like those that a face takes most of its time in, and how often each count is timed."""


def best_threads() -> int:
    """Return the smallest number of threads at which a convolution is close to its fastest."""
    import torch

    before = torch.get_num_threads()
    layer, picture = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), torch.rand(1, CHANNELS, SIDE, SIDE)

    def seconds(threads: int) -> float:
        torch.set_num_threads(threads)
        found = []
        for _ in range(TIMES + 1):
            start = time.perf_counter()
            layer(picture)
            found.append(time.perf_counter() - start)
        return median(found[1:])

    try:
        with torch.inference_mode():
            return threads_that_pay(seconds, cores())
    finally:
        torch.set_num_threads(before)
