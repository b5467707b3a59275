"""Work on drives that may never answer, such as a network drive whose server is gone or a broken stick.

The system may block a thread that asks such a drive for ever. So each piece of work has a thread of its own,
which nobody waits for without a limit, and which does not keep the process from ending.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

Done = TypeVar("Done")


class NoAnswerError(OSError):
    """A drive does not answer."""


def in_own_thread(work: Callable[[], Done]) -> "Future[Done]":
    """Do some work in a thread that ends with the process."""
    done: Future[Done] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return done


async def from_own_thread(work: Callable[..., Done], *arguments: object) -> Done:
    """Do some work in such a thread, and wait for it without a limit."""
    return await asyncio.wrap_future(in_own_thread(partial(work, *arguments)))


class DriveCalls:
    """Does the work on one drive, waiting for a limited time only."""

    def __init__(self, most: int = 1) -> None:
        """Create it.

        most  pieces of work that may be done at the same time
        """
        self._free = threading.Semaphore(most)
        self._late: set[Future[object]] = set()

    def do(self, work: Callable[[], Done], seconds: float) -> Done:
        """Do some work; return its result.

        Raises NoAnswerError if it takes longer, or at once while earlier work that took longer is not done.
        Work that was begun continues.
        """
        ends = time.monotonic() + seconds
        if self._late or not self._free.acquire(timeout=seconds):
            raise NoAnswerError("the drive does not answer")
        try:
            done = in_own_thread(lambda: self._released(work))
        except RuntimeError:  # no further thread can be started
            self._free.release()
            raise
        wait([done], max(0.0, ends - time.monotonic()))
        if not done.done():
            self._late.add(done)  # type: ignore[arg-type]
            done.add_done_callback(self._late.discard)
            raise NoAnswerError("the drive does not answer")
        return done.result()

    def _released(self, work: Callable[[], Done]) -> Done:
        try:
            return work()
        finally:
            self._free.release()
