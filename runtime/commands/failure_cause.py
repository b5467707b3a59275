"""Why a photo failed, in one word, and which causes may pass by themselves."""

import errno
import re
import sqlite3
from collections.abc import Iterator
from typing import Literal

from base.errors import BackendError, DeviceLostError, EngineError, GpenEdgeError, PhotoError

Stage = Literal["read", "restore", "write"]

Cause = Literal[
    "gone",  # the photo no longer exists
    "unreadable",  # the system cannot read it: permissions, a bad memory card
    "photo",  # it is not a photo, damaged, too large, or cannot be written in its format
    "memory",  # of the machine or the GPU
    "engine",  # the backend that runs the networks failed
    "disk-full",
    "output",  # the output folder cannot be written for another reason
    "unexpected",  # a bug
    "crash",  # the program crashed too many times while it worked on the photo
]

PASSING: frozenset[Cause] = frozenset({"unreadable", "memory", "engine", "disk-full"})
"""Causes that may have passed when the same photo is tried again."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MEMORY = re.compile(
    r"out of memory|outofmemory|not enough memory|insufficient memory|bad_alloc|failed to allocate", re.I
)


def cause_behind(error: BaseException, stage: Stage) -> Cause:
    """Return the cause of an error that a stage raised, from the chain of errors that led to it."""
    behind = list(_chain(error))
    numbers = [each.errno for each in behind if isinstance(each, OSError) and each.errno]
    if any(number in _FULL for number in numbers) or any(map(_is_full_journal, behind)):
        return "disk-full"
    if errno.ENOMEM in numbers or any(map(_is_of_memory, behind)):
        return "memory"
    if any(isinstance(each, sqlite3.Error) for each in behind):
        return "output"
    if stage == "read" and numbers:
        return "gone" if errno.ENOENT in numbers or errno.ENOTDIR in numbers else "unreadable"
    if stage == "write" and numbers:
        return "output" if errno.EFBIG not in numbers else "photo"
    if any(isinstance(each, BackendError | EngineError) for each in behind):
        return "engine"
    return "photo" if isinstance(error, GpenEdgeError) else "unexpected"


def lost_device(error: BaseException) -> DeviceLostError | None:
    """Return the loss of a device behind an error, after which all further photos would fail in this
    process."""
    return next((each for each in _chain(error) if isinstance(each, DeviceLostError)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_of_memory(error: BaseException) -> bool:
    names_file = isinstance(error, PhotoError) or (isinstance(error, OSError) and error.filename is not None)
    return isinstance(error, MemoryError) or (not names_file and bool(_MEMORY.search(str(error))))


def _is_full_journal(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "is full" in str(error)
