"""Keep freed memory for the next tensor.

PyTorch allocates new memory for every tensor. glibc maps a large one, whose pages the system then clears one
by one at the first access, and unmaps it when it is freed: half of the CPU time of a large network that runs
once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from base.malloc import return_freed_memory, reuse_freed_memory

_LARGE = 2**30
"""Bytes."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory within the block; afterwards return it to the system. Does nothing without glibc."""
    reuse_freed_memory(_LARGE)
    try:
        yield
    finally:
        reuse_freed_memory()
        return_freed_memory()
