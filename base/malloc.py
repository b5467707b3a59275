"""The C library's allocator, where it is glibc's: how much freed memory it holds."""

import ctypes
import os
import sys

_ARENA_MAX = -8
"""Parameter of glibc's mallopt (malloc.h)."""
_ARENAS = 2
"""Pools of memory that all threads share."""


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


def return_freed_memory() -> None:
    """Return the memory that this process has freed to the system. Does nothing without glibc."""
    libc = glibc()
    if libc is not None:
        libc.malloc_trim(0)
