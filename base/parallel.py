"""Apply a function to many items on all cores."""

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Done = TypeVar("Done")


def parallel(
    work: Callable[[Item], Done], items: Iterable[Item], threads: int | None = None
) -> Generator[Done, None, None]:
    """Yield the result for each item, in order; an exception is raised when its item's turn comes.

    Threads suffice because NumPy and OpenCV release Python's lock. Once this is closed, no further item is
    begun.

    threads  None is as many as OpenCV itself would use
    """
    with ThreadPoolExecutor(threads or max(1, cv2.getNumThreads())) as executor:
        yield from executor.map(work, items)


def one_ahead(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """Yield the result for each item, in order; the next one is computed while a result is being used."""
    with ThreadPoolExecutor(1) as thread:
        waiting: Future[Done] | None = None
        for item in items:
            following = thread.submit(work, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def for_each(keys: Iterable[Key], work: Callable[[Key], Done]) -> dict[Key, Done]:
    """Return the result for each key."""
    keys = list(keys)
    return dict(zip(keys, parallel(work, keys), strict=True))
