"""The workbench: prepares photos, makes results and draws previews, one after another in the line's thread.

A job is tried once more if the networks fail or memory runs out. If this process has lost the GPU, jobs stay
queued for the next process. Results for a visit that has ended in the meantime are deleted.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import msgspec

from base.errors import PhotoError
from base.text import cause_of
from runtime.commands.failure_cause import cause_behind
from runtime.hotfolder.log import Log
from runtime.serve.errors import Code, KioskError, disk_error
from runtime.serve.visits.line import GivesWayError, Job, Line, Rank, stopping
from runtime.serve.visits.records import Records
from runtime.serve.visits.studio import Studio
from runtime.serve.visits.visit import Visit
from runtime.serve.visits.visit_folder import VisitFolder
from runtime.serve.wire import Choice, ErrorAbout, ResultAbout
from runtime.timing import Progress, Stage

Done = TypeVar("Done")


class _GoneError(Exception):
    """The visit has ended while its photo was worked on."""


class Workbench:
    """Everything that is done to photos. Its methods may be called from any thread."""

    def __init__(
        self,
        folder: VisitFolder,
        records: Records,
        studio: Studio,
        log: Log,
        lock: threading.RLock,
        line: Line,
    ) -> None:
        self.line = line
        self.counts: Counter[str] = Counter()
        """Counters since the start, for the operator."""
        self.broken = ""
        """Why nothing can be restored any more; empty while photos can be restored."""
        self.moved: float | None = None
        """When the current job last made progress, by `time.monotonic`; None if nothing is worked on."""
        self._folder, self._records, self._studio = folder, records, studio
        self._log, self._lock = log, lock

    def prepare(self, visit: Visit, *, always: bool = False) -> None:
        """Queue a visit's photo. Raises KioskError (`busy`).

        always  even if the line is full
        """
        number = visit.number
        self.line.put(Job(visit.id, lambda: self._prepare(visit, number)), always=always)
        visit.changed()

    def make(self, visit: Visit, *, always: bool = False) -> None:
        """Queue the result that a visit has chosen; arguments and errors are those of `prepare`."""
        choice, number = visit.choice, visit.number
        assert choice is not None
        self.line.put(Job(visit.id, lambda: self._make(visit, number, choice)), always=always)
        visit.results += 1
        visit.result = ResultAbout(visit.results, "queued", choice.preset, choice.strength, choice.leave_out)
        visit.changed()

    def preview(self, visit: Visit, choice: Choice, size: int) -> "bytes | Future[bytes]":
        """Return a preview as JPEG: at once, or as soon as the restorer has time. Raises KioskError.

        The future may be cancelled until the preview is begun.
        """
        if (shown := self._studio.shown(visit.id, choice, size)) is not None:
            return shown
        file = self._folder.photo(visit.id)

        def draw(progress: Progress) -> bytes:
            shown = self._studio.shown(visit.id, choice, size)  # another request may have asked for it
            return shown or self._studio.preview(visit.id, file, choice, size, progress)

        return self._drawn(visit, Rank.PREVIEW, visit.check_here, draw)

    def face(self, visit: Visit, index: int, preset: str, size: int) -> "bytes | Future[bytes]":
        """Return the square around a face as a preset restores it, as JPEG: at once, or as soon as nothing
        else is to be done. Raises KioskError.

        It is given up once the customer has asked for a result or brought another photo.
        """
        if (shown := self._studio.shown_face(visit.id, index, preset, size)) is not None:
            return shown
        begun = visit.number, visit.results

        def check() -> None:
            visit.check_here()
            if (visit.number, visit.results) != begun:
                raise KioskError("wrong-state", "the customer has gone on: ask again")
            self.line.give_way(Rank.FACE)

        def draw(progress: Progress) -> bytes:
            face = self._studio.restored_face(visit.id, index, preset, size, progress)
            if face is None:
                raise KioskError("unavailable", "the photo is not kept ready now: ask for a preview first")
            return face

        return self._drawn(visit, Rank.FACE, check, draw)

    def delete(self, visit_id: str) -> None:
        """Delete everything of a visit."""
        if self.moved is None:
            self._studio.forget(visit_id)
        if not self._records.remove(visit_id):
            self._log("not-deleted", "a customer's files could not be deleted: trying again")

    def _prepare(self, visit: Visit, number: int) -> None:
        with self._lock:
            if visit.is_gone or visit.number != number:
                return
            visit.state = "working"
            self._begin(visit)
        file = self._folder.photo(visit.id)
        found, error = self._attempt(
            visit, number, lambda progress: self._studio.prepare(visit.id, file, progress)
        )
        with self._lock:
            if not self._finish(visit, number):
                self._studio.forget(visit.id)
                return
            if self._is_kept(found):
                visit.state = "queued"
                visit.changed()
                return
            visit.found, visit.error = found, error
            visit.state = "ready" if found else "failed"
            self.broken = "" if found else self.broken
            self.counts["photos prepared" if found else "photos refused"] += 1
            if found and visit.choice and visit.result is None:
                self.make(visit, always=True)
            visit.changed()

    def _make(self, visit: Visit, number: int, choice: Choice) -> None:
        with self._lock:
            if visit.is_gone or visit.number != number or visit.result is None:
                return
            visit.result = msgspec.structs.replace(visit.result, state="working")
            self._begin(visit)
        file, result = self._folder.photo(visit.id), partial(self._folder.result, visit.id)
        made, error = self._attempt(
            visit, number, lambda progress: self._studio.make(visit.id, file, choice, result, progress)
        )
        with self._lock:
            if not self._finish(visit, number) or visit.result is None:
                return
            if self._is_kept(made):
                visit.result = msgspec.structs.replace(visit.result, state="queued")
            elif made is None:
                visit.result = msgspec.structs.replace(visit.result, state="failed", error=error)
            else:
                visit.result = msgspec.structs.replace(
                    visit.result,
                    state="done",
                    width=made.width,
                    height=made.height,
                    suffix=made.suffix,
                    bytes=self._folder.result(visit.id, made.suffix).stat().st_size,
                    faces=made.faces,
                )
                self._records.note(visit, result=msgspec.json.encode(visit.result).decode())
                self.counts["results made"] += 1
            visit.changed()

    def _drawn(
        self, visit: Visit, rank: Rank, check: Callable[[], None], draw: Callable[[Progress], bytes]
    ) -> "Future[bytes]":
        """Queue a picture for the page. Raises KioskError (`busy`).

        check  raises while it is drawn if it is no longer wanted, or gives way
        """
        future: Future[bytes] = Future()

        def fail(error: KioskError) -> None:
            if _is_awaited(future):
                future.set_exception(error)

        self.line.put(Job(visit.id, lambda: self._draw(visit, check, draw, future), fail), rank)
        return future

    def _draw(
        self,
        visit: Visit,
        check: Callable[[], None],
        draw: Callable[[Progress], bytes],
        future: "Future[bytes]",
    ) -> None:
        if not _is_awaited(future):
            return

        def progress(stage: Stage, done: int, total: int) -> None:
            check()
            self.moved = time.monotonic()

        with self._lock:
            self.moved = time.monotonic()
        try:
            check()
            future.set_result(draw(progress))
        except GivesWayError:
            raise
        except Exception as error:
            future.set_exception(self._as_error(error))
        finally:
            self.moved = None
            if visit.is_gone:
                self._studio.forget(visit.id)

    def _begin(self, visit: Visit) -> None:
        """Count an attempt, so that a photo that crashes the program is not tried for ever."""
        visit.attempts += 1
        self._records.note(visit, attempts=visit.attempts)
        self.moved = time.monotonic()
        visit.changed()

    def _attempt(
        self, visit: Visit, number: int, work: Callable[[Progress], Done]
    ) -> tuple[Done | None, ErrorAbout | None]:
        """Do some work; return its result or its error, or neither if the visit has ended."""

        def progress(stage: Stage, done: int, total: int) -> None:
            with self._lock:
                if visit.is_gone or visit.number != number:
                    raise _GoneError
                self.moved = time.monotonic()
                visit.stage, visit.done, visit.total = stage, done, total
                visit.changed()

        try:
            return self._twice(lambda: work(progress)), None
        except _GoneError:
            return None, None
        except Exception as raised:
            error = self._as_error(raised)
            return None, ErrorAbout(error.code, str(error))

    def _is_kept(self, done: object) -> bool:
        """Return whether a job that was not done is kept for the next process, since the GPU is lost."""
        return done is None and self._studio.lost is not None

    def _finish(self, visit: Visit, number: int) -> bool:
        """Return whether the visit still waits for this photo; if it has ended, delete what was written."""
        visit.attempts, visit.stage, visit.done, visit.total = 0, None, 0, 0
        self.moved = None
        if visit.is_gone:
            self.delete(visit.id)
            return False
        self._records.note(visit, attempts=0)
        return visit.number == number

    def _twice(self, work: Callable[[], Done]) -> Done:
        """Do some work; if the networks or the memory fail, reopen the networks and try once more."""
        try:
            return work()
        except _GoneError:
            raise
        except Exception as error:
            if self._studio.lost or cause_behind(error, "restore") not in ("engine", "memory"):
                raise
            self._log("retry", f"the networks are reopened: {cause_of(error)}")
            self._studio.reopen()
            return work()

    def _as_error(self, error: Exception) -> KioskError:
        """Return an error as the page shows it, and log what is not the photo's fault."""
        if isinstance(error, KioskError):
            return error
        if self._studio.lost:
            return stopping()
        cause = cause_behind(error, "write" if _is_of_disk(error) else "restore")
        codes: dict[str, Code] = {"photo": "not-a-photo", "disk-full": "disk-full", "output": "disk-full"}
        code: Code = codes.get(cause, "internal")
        if code != "not-a-photo":
            self._log("failed", f"a photo was not restored: {cause_of(error)}", cause=cause)
        if cause == "engine" and not self._studio.is_well():
            self.broken = cause_of(error)
        if cause == "unexpected":
            return KioskError(
                "internal", "something went wrong with this photo: ask the staff, or try another"
            )
        return (
            disk_error(error.__cause__ or error) if code == "disk-full" else KioskError(code, cause_of(error))
        )


def _is_awaited(future: "Future[bytes]") -> bool:
    """Return whether somebody still waits for a picture; then its request can no longer be cancelled."""
    return future.running() or future.set_running_or_notify_cancel()


def _is_of_disk(error: Exception) -> bool:
    return isinstance(error, OSError) or (
        isinstance(error, PhotoError) and isinstance(error.__cause__, OSError)
    )
