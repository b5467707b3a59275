"""The single queue in front of the restorer: bounded, first come, first served, with positions."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from runtime.serve.errors import KioskError

SECONDS_EACH = 3
"""Rough time for one photo, from which customers are told when to try again."""

_ENDING = 8.0
"""Seconds that the present job has to end when the server does; one on which a GPU hangs never would."""


class Rank(IntEnum):
    """What is done first."""

    PHOTO = 0
    """Photos and results: a customer waits for them."""
    PREVIEW = 1
    FACE = 2
    """Small pictures of what each preset does; they give way to everything else."""


class GivesWayError(Exception):
    """A job that runs is stopped for one that is done first, and begun again later."""


@dataclass(frozen=True, eq=False)
class Job:
    """Some work for a visit."""

    visit: str
    work: Callable[[], None]
    """Called in the queue's thread; it handles its own errors, except for GivesWayError."""
    drop: Callable[[KioskError], None] = lambda error: None
    """Called instead of `work` if the visit or the server ends first."""


class Line:
    """Jobs that wait, by rank, and the thread that does them."""

    def __init__(
        self,
        capacity: int,
        moved: Callable[[str], None] = lambda visit: None,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Create it without starting its thread.

        capacity  the most photos and results that wait; of other jobs twice as many may wait
        moved     called with each visit whose place may have changed
        failed    called with an error that a job has not dealt with; the line goes on
        """
        self._capacity, self._moved, self._failed = capacity, moved, failed
        self._waiting: dict[Rank, deque[Job]] = {rank: deque() for rank in Rank}
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
        """End after the present job, but wait for it for a few seconds only; all others are dropped."""
        with self._changed:
            self._stopped = True
            dropped = [job for waiting in self._waiting.values() for job in waiting]
            for waiting in self._waiting.values():
                waiting.clear()
            self._changed.notify_all()
        for job in dropped:
            job.drop(stopping())
        if self._thread.ident is not None:
            self._thread.join(_ENDING)

    def put(self, job: Job, rank: Rank = Rank.PHOTO, *, always: bool = False) -> None:
        """Add a job. Raises KioskError (`busy`) if too many wait, unless it has to be taken `always`."""
        with self._changed:
            waiting = self._waiting[rank]
            if self._stopped:
                raise stopping()
            if len(waiting) >= self._capacity * (1 if rank == Rank.PHOTO else 2) and not always:
                raise self._busy()
            waiting.append(job)
            self._changed.notify_all()

    def give_way(self, rank: Rank) -> None:
        """Raise GivesWayError if a job waits that is done before those of this rank, or the line ends."""
        with self._changed:
            if self._stopped or any(self._waiting[first] for first in Rank if first < rank):
                raise GivesWayError

    def check_room(self) -> None:
        """Raise KioskError (`busy`) if the queue is full, before a photo is uploaded in vain."""
        with self._changed:
            if len(self._front) >= self._capacity:
                raise self._busy()

    @property
    def _front(self) -> deque[Job]:
        return self._waiting[Rank.PHOTO]

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
            dropped = [job for waiting in self._waiting.values() for job in waiting if job.visit == visit]
            for rank, waiting in self._waiting.items():
                self._waiting[rank] = deque(job for job in waiting if job.visit != visit)
            moved = [job.visit for job in self._front]
        for job in dropped:
            job.drop(KioskError("not-found", "this visit has ended: start again"))
        for each in moved:
            self._moved(each)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._stopped or any(self._waiting.values())):
                    self._changed.wait()
                if self._stopped:
                    return
                rank = next(rank for rank in Rank if self._waiting[rank])
                job = self._running = self._waiting[rank].popleft()
                moved = [each.visit for each in self._front]
            try:
                for each in moved:
                    self._moved(each)
                job.work()
            except GivesWayError:
                self._resume_later(job, rank)
            except Exception as error:
                self._failed(error)
            finally:
                with self._changed:
                    self._running = None

    def _resume_later(self, job: Job, rank: Rank) -> None:
        with self._changed:
            if not self._stopped:
                self._waiting[rank].appendleft(job)
                return
        job.drop(stopping())


def stopping() -> KioskError:
    """Return the answer to requests while the server ends."""
    return KioskError("unavailable", "the kiosk is being stopped: try again in a minute")
