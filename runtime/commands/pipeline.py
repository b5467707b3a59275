"""A pipeline of three steps: the next photo is read and the last one written while one is restored."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Input = TypeVar("Input")
Output = TypeVar("Output")
Done = TypeVar("Done")

AHEAD = 2
"""Most photos read ahead."""
BEHIND = 2
"""Most photos waiting to be written."""


def pipelined(
    items: Iterable[Item],
    read: Callable[[Item], Input],
    work: Callable[[Item, Input], Output],
    write: Callable[[Item, Output], Done],
) -> Generator[tuple[Item, Done | Exception], None, None]:
    """Yield each item, in order, with what `write` returned for it or the exception that a step raised.

    `read` and `write` have a thread each; `work` runs in the caller's thread. At most AHEAD + BEHIND + 1
    items are in memory. If the caller stops early (an interruption, an exception), nothing more is read, and
    items that are past `work` are still written before this returns.
    """
    coming, going = iter(items), deque[tuple[Item, Future[Done]]]()
    with ThreadPoolExecutor(1, "writer") as writer, ThreadPoolExecutor(1, "reader") as reader:
        reads: deque[tuple[Item, Future[Input]]] = deque()

        def read_ahead() -> None:
            while len(reads) < AHEAD and (item := next(coming, None)) is not None:
                reads.append((item, reader.submit(read, item)))

        try:
            read_ahead()
            while reads:
                going.append(_worked(*reads.popleft(), read_ahead, work, write, writer))
                while going and (not reads or len(going) > BEHIND or going[0][1].done()):
                    item, writing = going.popleft()
                    outcome = _outcome(writing)
                    yield item, outcome
        finally:
            reader.shutdown(cancel_futures=True)


def _worked(
    item: Item,
    reading: "Future[Input]",
    read_ahead: Callable[[], None],
    work: Callable[[Item, Input], Output],
    write: Callable[[Item, Output], Done],
    writer: ThreadPoolExecutor,
) -> "tuple[Item, Future[Done]]":
    try:
        read = reading.result()
        read_ahead()
        return item, writer.submit(write, item, work(item, read))
    except Exception as error:
        read_ahead()
        failed: Future[Done] = Future()
        failed.set_exception(error)
        return item, failed


def _outcome(writing: "Future[Done]") -> "Done | Exception":
    try:
        return writing.result()
    except Exception as error:
        return error.with_traceback(None)  # which would keep the pixels in memory
