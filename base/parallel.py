"""Apply a function to many items on all cores."""

import os
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Done = TypeVar("Done")


def cores() -> int:
    """Return how many cores this process may use: in a container, or under `taskset`, not all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel(
    work: Callable[[Item], Done], items: Iterable[Item], threads: int | None = None
) -> Generator[Done, None, None]:
    """Yield the result for each item, in order; an exception is raised when its item's turn comes.

    Threads suffice because NumPy and OpenCV release Python's lock. Once this is closed, no further item is
    begun.

    threads  None is as many as OpenCV itself would use
    """
    with _threads(threads or max(1, cv2.getNumThreads())) as executor:
        yield from executor.map(work, items)


def one_ahead(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """Yield the result for each item, in order; the next one is computed while a result is being used."""
    with _threads(1) as thread:
        waiting: Future[Done] | None = None
        for item in items:
            following = thread.submit(work, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Open threads for a generator, and wait for them in the end, unless the generator is given up.

    One that is given up may be closed by the garbage collector, in any thread and at any moment: also in a
    thread that is being started and holds a lock of Python's without which no other can be waited for.
    """
    executor = ThreadPoolExecutor(count)
    try:
        yield executor
    except GeneratorExit:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        executor.shutdown()
        raise
    executor.shutdown()


def for_each(keys: Iterable[Key], work: Callable[[Key], Done]) -> dict[Key, Done]:
    """Return the result for each key."""
    keys = list(keys)
    return dict(zip(keys, parallel(work, keys), strict=True))
