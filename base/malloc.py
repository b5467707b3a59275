"""The C library's allocator, where it is glibc's: how much freed memory it holds."""

import ctypes
import os
import sys

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""Parameters of glibc's mallopt (malloc.h)."""
_LARGEST_INT = 2**31 - 1
_ARENAS = 2
"""Pools of memory that all threads share."""
SMALL = 2**25
"""Bytes, the most up to which glibc raises its own threshold; larger blocks always go back to the system."""


def glibc() -> ctypes.CDLL | None:
    """Return the C library if its allocator is glibc's."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def share_freed_memory() -> None:
    """Have the threads of this process share what each has freed; call it before they start.

    glibc otherwise gives up to eight threads a core a pool each, and every pool keeps what its threads freed:
    a fifth of the memory of restoring a photo. `$MALLOC_ARENA_MAX` takes precedence.
    """
    libc = glibc()
    if libc is not None and "MALLOC_ARENA_MAX" not in os.environ:
        libc.mallopt(_ARENA_MAX, _ARENAS)


def reuse_freed_memory(below: int = SMALL) -> None:
    """Keep freed blocks of fewer bytes for the next ones, which the system would have to clear first.

    glibc begins with a small threshold, and once set it no longer adapts. Does nothing without glibc.
    """
    libc = glibc()
    if libc is not None:
        libc.mallopt(_MMAP_THRESHOLD, below)
        libc.mallopt(_TRIM_THRESHOLD, min(2 * below, _LARGEST_INT))


def return_freed_memory() -> None:
    """Return the memory that this process has freed to the system. Does nothing without glibc."""
    libc = glibc()
    if libc is not None:
        libc.malloc_trim(0)
