"""The single queue in front of the restorer: bounded, first come, first served, with positions."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from runtime.serve.errors import KioskError

SECONDS_EACH = 3
"""Rough time for one photo, from which customers are told when to try again."""


@dataclass(frozen=True, eq=False)
class Job:
    """Some work for a visit."""

    visit: str
    work: Callable[[], None]
    """Called in the queue's thread; it handles its own errors."""
    drop: Callable[[KioskError], None] = lambda error: None
    """Called instead of `work` if the visit or the server ends first."""


class Line:
    """Jobs that wait, and the thread that does them.

    Photos and results come first; previews are made when none of these wait.
    """

    def __init__(
        self,
        capacity: int,
        moved: Callable[[str], None] = lambda visit: None,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Create it without starting its thread.

        capacity  the most jobs that wait in front
        moved     called with each visit whose place may have changed
        failed    called with an error that a job has not dealt with; the line goes on
        """
        self._capacity, self._moved, self._failed = capacity, moved, failed
        self._front: deque[Job] = deque()
        self._behind: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._running: Job | None = None
        self._thread = threading.Thread(target=self._run, name="kiosk-line", daemon=True)

    def start(self) -> None:
        """Start to work."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it works, or has not been started yet."""
        return self._thread.ident is None or self._thread.is_alive()

    def stop(self) -> None:
        """End after the present job; all others are dropped."""
        with self._changed:
            self._stopped = True
            dropped = [*self._front, *self._behind]
            self._front.clear()
            self._behind.clear()
            self._changed.notify_all()
        for job in dropped:
            job.drop(stopping())
        if self._thread.ident is not None:
            self._thread.join()

    def put(self, job: Job, *, behind: bool = False, always: bool = False) -> None:
        """Add a job. Raises KioskError (`busy`) if too many wait, unless it has to be taken `always`."""
        with self._changed:
            waiting = self._behind if behind else self._front
            if self._stopped:
                raise stopping()
            if len(waiting) >= self._capacity * (2 if behind else 1) and not always:
                raise self._busy()
            waiting.append(job)
            self._changed.notify_all()

    def check_room(self) -> None:
        """Raise KioskError (`busy`) if the queue is full, before a photo is uploaded in vain."""
        with self._changed:
            if len(self._front) >= self._capacity:
                raise self._busy()

    def _busy(self) -> KioskError:
        waiting = len(self._front)
        seconds = SECONDS_EACH * waiting + 1
        return KioskError(
            "busy",
            f"busy, place {waiting + 1}: {waiting} photos wait already; try again in {seconds} seconds",
            retry_after=seconds,
        )

    def place(self, visit: str) -> int | None:
        """Return the position of a visit, from 1, after another one that is worked on; None if it does not
        wait."""
        with self._changed:
            first = 1 if self._running is None or self._running.visit == visit else 2
            return next((i for i, job in enumerate(self._front, first) if job.visit == visit), None)

    def __len__(self) -> int:
        """Return how many photos and results wait."""
        with self._changed:
            return len(self._front)

    def leave(self, visit: str) -> None:
        """Remove the jobs of a visit that wait."""
        with self._changed:
            dropped = [job for job in (*self._front, *self._behind) if job.visit == visit]
            self._front = deque(job for job in self._front if job.visit != visit)
            self._behind = deque(job for job in self._behind if job.visit != visit)
            moved = [job.visit for job in self._front]
        for job in dropped:
            job.drop(KioskError("not-found", "this visit has ended: start again"))
        for each in moved:
            self._moved(each)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._stopped or self._front or self._behind):
                    self._changed.wait()
                if self._stopped:
                    return
                job = self._running = self._front.popleft() if self._front else self._behind.popleft()
                moved = [each.visit for each in self._front]
            try:
                for each in moved:
                    self._moved(each)
                job.work()
            except Exception as error:
                self._failed(error)
            finally:
                with self._changed:
                    self._running = None


def stopping() -> KioskError:
    """Return the answer to requests while the server ends."""
    return KioskError("unavailable", "the kiosk is being stopped: try again in a minute")
