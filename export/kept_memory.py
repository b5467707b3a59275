"""Keep freed memory for the next tensor.

PyTorch allocates new memory for every tensor. glibc maps a large one, whose pages the system then clears one
by one at the first access, and unmaps it when it is freed: half of the CPU time of a large network that runs
once.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from base.malloc import glibc

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of glibc's mallopt (malloc.h)."""
_KEPT, _USUAL = 2**30, 2**17
"""Bytes: allocations below the first come from memory that is kept; 128 KiB is glibc's default."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory within the block; afterwards return it to the system. Does nothing without glibc."""
    libc = glibc()
    if libc is None:
        yield
        return
    _keep(libc, _KEPT)
    try:
        yield
    finally:
        _keep(libc, _USUAL)
        libc.malloc_trim(0)


def _keep(libc: ctypes.CDLL, size: int) -> None:
    libc.mallopt(_MMAP_THRESHOLD, size)
    libc.mallopt(_TRIM_THRESHOLD, size)
