"""How long each stage takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note how many milliseconds the block takes, under the name of its stage."""
    start = time.perf_counter()
    yield
    timings[stage] = (time.perf_counter() - start) * 1000
