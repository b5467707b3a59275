"""Photo after photo in three steps at once: the next is read and the last written while one is worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Input = TypeVar("Input")
Output = TypeVar("Output")
Done = TypeVar("Done")

AHEAD = 2
"""Most photos that are read before it is their turn."""
BEHIND = 2
"""Most photos that wait to be written."""


def pipelined(
    items: Iterable[Item],
    read: Callable[[Item], Input],
    work: Callable[[Item, Input], Output],
    write: Callable[[Item, Output], Done],
) -> Generator[tuple[Item, Done | Exception], None, None]:
    """Yield what came of each item, in their order: what `write` returned, or what one of the steps raised.

    `read` and `write` have a thread each; `work` is done in the caller's. At most AHEAD + BEHIND + 1 items
    are in memory, however many there are. When the caller stops (an interruption, an exception), nothing more
    is read, and what was worked on is written to its end before this returns.
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
                while len(going) > BEHIND or (going and going[0][1].done()):
                    item, writing = going.popleft()
                    outcome = _outcome(writing)
                    yield item, outcome
            while going:
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
        return error.with_traceback(None)  # which would hold the pixels
