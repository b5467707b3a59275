"""Do the same for many, on all cores."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Done = TypeVar("Done")


def parallel(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """Yield what the work makes of each item, in their order; an error is raised in its item's place.

    The work is threads' work: NumPy and OpenCV compute without Python's lock. There are as many threads as
    OpenCV would use by itself.
    """
    with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as threads:
        yield from threads.map(work, items)


def for_each(keys: Iterable[Key], work: Callable[[Key], Done]) -> dict[Key, Done]:
    """Return what the work makes of each key."""
    keys = list(keys)
    return dict(zip(keys, parallel(work, keys), strict=True))
