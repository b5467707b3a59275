"""The front desk: who is here, what they have brought, what is made of it, and when it is deleted.

    empty → queued → working → ready          a photo has come, waits, is prepared, can be chosen for
                        ↓
                     failed                   it cannot be restored; another one may be sent

    result: queued → working → done | failed  once a photo is ready, as often as the customer chooses

Only `store.py` and `visit_folder.py` outlive the process. After a crash each visit within its time is queued
again with its photo, and so is a result that was asked for; nothing half done is ever shown.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TypeVar

import msgspec

from base.errors import PhotoError
from base.text import cause_of
from runtime.commands.failure_cause import cause_behind
from runtime.hotfolder.log import Log
from runtime.serve.clock import Clocks
from runtime.serve.errors import Code, KioskError, disk_error
from runtime.serve.kiosk_config import KioskConfig
from runtime.serve.line import Job, Line
from runtime.serve.links import Links
from runtime.serve.store import Store, VisitRow
from runtime.serve.studio import Found, Made, Studio
from runtime.serve.tokens import digest, new_token
from runtime.serve.visit import Visit
from runtime.serve.visit_folder import VisitFolder
from runtime.serve.wire import (
    Choice,
    ErrorAbout,
    PhotoAbout,
    PrintAbout,
    ResultAbout,
    Status,
)
from runtime.timing import Stage

Done = TypeVar("Done")

MOST_ATTEMPTS = 2
"""How many times the program may crash while it works on a photo before the photo is refused."""


class _GoneError(Exception):
    """The visit has ended while its photo was worked on."""


class Desk:
    """All visits of a server. Its methods may be called from any thread."""

    def __init__(
        self,
        folder: VisitFolder,
        store: Store,
        studio: Studio,
        config: KioskConfig,
        log: Log,
        clocks: Clocks = Clocks(),  # noqa: B008  frozen
    ) -> None:
        self.folder, self.config = folder, config
        self._store, self._studio, self._log = store, studio, log
        self._clocks = clocks
        self._lock = threading.RLock()
        self._visits: dict[str, Visit] = {}
        self._undeleted: set[str] = set()
        self.links = Links(folder, store, config, self._lock, clocks)
        self.line = Line(config.queue, self._moved, self._unexpected)
        self.counts: Counter[str] = Counter()
        """What has been done since the start, for the operator."""
        self.broken = ""
        """Why nothing can be restored any more, if so."""
        self.working_since: float | None = None
        """When the present job began, by `time.monotonic`."""

    # Beginning and end

    def recover(self) -> None:
        """Take up the visits of an earlier run that are within their time, and delete all others."""
        for row in self._store.visits():
            left = row.end.left(self._clocks)
            file = self.folder.photo(row.id)
            if left <= 0 or (row.number and not file.is_file()):
                self._remove(row.id)
                continue
            self._visits[row.id] = self._of_row(row, left)
        self.links.recover()
        swept = self.folder.sweep(self._visits, self.links.takes)
        if swept:
            self._log("swept", f"deleted at start-up: {swept} files and folders of customers", files=swept)
        for visit in list(self._visits.values()):
            if visit.number and visit.state == "queued":
                self._queue_photo(visit, always=True)

    def _of_row(self, row: VisitRow, left: float) -> Visit:
        ends = self._clocks.now() + left
        touched = ends - (row.end.ends - row.end.touched)
        visit = Visit(row.id, touched - row.age, ends, row.end.wall_end(self._clocks))
        visit.number, visit.attempts, visit.copies = row.number, row.attempts, row.copies
        if not row.number:
            return visit
        visit.state = "queued"
        if row.attempts > MOST_ATTEMPTS:
            visit.state = "failed"
            times = f"the program ended {row.attempts} times while it worked on this photo"
            visit.error = ErrorAbout("not-a-photo", f"{times}: bring another one")
        elif row.choice:
            visit.choice = msgspec.json.decode(row.choice, type=Choice)
        if row.result and visit.state == "queued":
            result = msgspec.json.decode(row.result, type=ResultAbout)
            if self.folder.result(row.id, result.suffix).is_file():
                visit.result, visit.results = result, result.number
        return visit

    def close(self) -> None:
        """End all visits and delete everything of them."""
        with self._lock:
            for visit in list(self._visits.values()):
                visit.is_gone = True
        self.line.stop()
        self.end_all()
        with suppress(KioskError, OSError):  # what an interrupted start has not even listed
            self.folder.sweep((), ())
            self._store.clear()
        self._studio.close()

    def tick(self) -> None:
        """Delete what is past its time; called every second."""
        with self._lock:
            now, wall = self._clocks.now(), self._clocks.wall()
            over = [each for each in self._visits.values() if each.ends <= now or each.wall_ends <= wall]
            for visit in over:
                self.end(visit, keep_take=True)
            self.links.tick()
            for name in list(self._undeleted):
                self._remove(name)

    # Visits

    def open(self) -> tuple[str, Visit]:
        """Begin a visit; return its token too. Raises KioskError (`busy`)."""
        with self._lock:
            if len(self._visits) >= self.config.visits:
                raise KioskError(
                    "busy", f"busy: {len(self._visits)} customers are here; try again later", retry_after=30
                )
            token, now = new_token(), self._clocks.now()
            visit = Visit(digest(token), now, now + self.config.minutes * 60)
            self._store.add(VisitRow(visit.id, self._clocks.end(now, visit.ends)))
            self._visits[visit.id] = visit
            return token, visit

    def visit(self, token: str) -> Visit:
        """Return the visit of a token. Raises KioskError (`not-found`)."""
        with self._lock:
            visit = self._visits.get(digest(token))
            if visit is None or visit.is_gone:
                raise KioskError("not-found", "this visit has ended: start again")
            return visit

    def stay(self, visit: Visit) -> None:
        """Prolong a visit, because the customer has touched something."""
        with self._lock:
            now, config = self._clocks.now(), self.config
            longest = visit.began + max(config.most_minutes, config.minutes) * 60
            visit.ends, visit.wall_ends = min(now + config.minutes * 60, longest), inf
            self._note(visit, end=self._clocks.end(now, visit.ends), age=now - visit.began)
            visit.changed()

    def end(self, visit: Visit, *, keep_take: bool = False) -> None:
        """End a visit and delete everything of it.

        keep_take  but for a result that may be taken home
        """
        with self._lock:
            visit.is_gone, visit.is_deleted = True, not keep_take
            self.line.leave(visit.id)
            self._visits.pop(visit.id, None)
            self.links.end_of(visit, keep_take=keep_take)
            self._delete(visit.id)
            visit.changed()

    def end_all(self) -> None:
        """End all visits and delete everything of them."""
        with self._lock:
            for visit in list(self._visits.values()):
                self.end(visit)
            self.links.end_all()

    def status(self, visit: Visit) -> Status:
        """Return what the page shows of a visit."""
        place = self.line.place(visit.id)
        with self._lock:
            now, found = self._clocks.now(), visit.found
            return Status(
                state=visit.state,
                place=place,
                stage=visit.stage,
                done=visit.done,
                total=visit.total,
                error=visit.error,
                photo=PhotoAbout(visit.number, found.width, found.height) if found else None,
                faces=found.faces if found else (),
                remarks=found.remarks if found else (),
                result=visit.result,
                prints=visit.prints,
                take_home=self.links.take_link(visit),
                phone=self.links.phone_link(visit),
                seconds_left=max(0, round(visit.ends - now)),
            )

    @property
    def scans_since(self) -> float:
        """When the present customer has come, by `clocks.now`: from then on scans may be shown."""
        with self._lock:
            return max((visit.began for visit in self._visits.values()), default=inf)

    @property
    def visits(self) -> int:
        """How many customers are here."""
        with self._lock:
            return len(self._visits)

    def everybody(self) -> list[Visit]:
        """Return all visits."""
        with self._lock:
            return list(self._visits.values())

    # Photos

    def draft(self, visit: Visit) -> Path:
        """Return where an upload is written until it is complete. Raises KioskError."""
        self.line.check_room()
        with self._lock:
            visit.check_here()
            try:
                return self.folder.new_draft(visit.id)
            except OSError as error:
                raise disk_error(error) from error

    def take_in(self, visit: Visit, draft: Path) -> None:
        """Take in a photo that was uploaded whole; it replaces an earlier one. Raises KioskError."""
        with self._lock:
            try:
                visit.check_here()
                self.line.check_room()
                self.line.leave(visit.id)
                self.folder.delete_results(visit.id)
                draft.replace(self.folder.photo(visit.id))
            except OSError as error:
                raise disk_error(error) from error
            finally:
                draft.unlink(missing_ok=True)
            visit.number += 1
            visit.attempts = 0
            visit.found = visit.error = visit.choice = visit.result = visit.stage = None
            visit.state = "queued"
            self._note(visit, number=visit.number, attempts=0, choice=None, result=None)
            self.stay(visit)
            self._queue_photo(visit)

    def _queue_photo(self, visit: Visit, *, always: bool = False) -> None:
        number = visit.number
        self.line.put(Job(visit.id, lambda: self._prepare(visit, number)), always=always)
        visit.changed()

    def _prepare(self, visit: Visit, number: int) -> None:
        """Prepare a photo, in the line's thread."""
        with self._lock:
            if visit.is_gone or visit.number != number:
                return
            visit.state = "working"
            self._begin(visit)
        found: Found | None = None
        error: KioskError | None = None
        try:
            found = self._twice(
                lambda: self._studio.prepare(
                    visit.id, self.folder.photo(visit.id), self._progress_of(visit, number)
                )
            )
        except _GoneError:
            pass
        except Exception as raised:
            error = self._as_error(raised)
        with self._lock:
            self._finish(visit)
            if visit.is_gone or visit.number != number:
                self._studio.forget(visit.id)
                self._clean_up(visit)
                return
            visit.found, visit.error = found, ErrorAbout(error.code, str(error)) if error else None
            visit.state = "ready" if found else "failed"
            self.broken = "" if found else self.broken
            self.counts["photos prepared" if found else "photos refused"] += 1
            if found and visit.choice and visit.result is None:
                self._queue_result(visit, always=True)
            visit.changed()

    # Results

    def choose(self, visit: Visit, choice: Choice) -> None:
        """Ask for a result at full size. Raises KioskError."""
        with self._lock:
            visit.check_here()
            choice = self.checked(visit, choice)
            if visit.result and visit.result.state in ("queued", "working"):
                raise KioskError("wrong-state", "the result is being made: wait until it is done")
            before = visit.choice
            visit.choice = choice
            try:
                self._queue_result(visit)
            except KioskError:
                visit.choice = before
                raise
            self._note(visit, choice=_json(choice), result=None)
            self.stay(visit)

    def checked(self, visit: Visit, choice: Choice) -> Choice:
        """Return a choice in a standard form. Raises KioskError if there is nothing to choose for."""
        visit.check_ready()
        assert visit.found is not None
        if choice.preset not in self.config.presets:
            offered = ", ".join(self.config.presets)
            raise KioskError("bad-request", f"no such preset is offered here: give one of {offered}")
        faces = len(visit.found.faces)
        if any(index >= faces for index in choice.leave_out):
            raise KioskError("bad-request", f"leave_out names a face that the photo lacks: it has {faces}")
        return msgspec.structs.replace(choice, leave_out=tuple(sorted(set(choice.leave_out))))

    def _queue_result(self, visit: Visit, *, always: bool = False) -> None:
        choice, number = visit.choice, visit.number
        assert choice is not None
        self.line.put(Job(visit.id, lambda: self._make(visit, number, choice)), always=always)
        visit.results += 1
        visit.result = ResultAbout(visit.results, "queued", choice.preset, choice.strength, choice.leave_out)
        visit.changed()

    def _make(self, visit: Visit, number: int, choice: Choice) -> None:
        """Make a result, in the line's thread."""
        with self._lock:
            if visit.is_gone or visit.number != number or visit.result is None:
                return
            visit.result = msgspec.structs.replace(visit.result, state="working")
            self._begin(visit)
        made: Made | None = None
        error: KioskError | None = None
        try:
            made = self._twice(
                lambda: self._studio.make(
                    visit.id,
                    self.folder.photo(visit.id),
                    choice,
                    lambda suffix: self.folder.result(visit.id, suffix),
                    self._progress_of(visit, number),
                )
            )
        except _GoneError:
            pass
        except Exception as raised:
            error = self._as_error(raised)
        with self._lock:
            self._finish(visit)
            if visit.is_gone or visit.number != number or visit.result is None:
                self._clean_up(visit)
                return
            if made is None:
                about = ErrorAbout(error.code, str(error)) if error else None
                visit.result = msgspec.structs.replace(visit.result, state="failed", error=about)
            else:
                size = self.folder.result(visit.id, made.suffix).stat().st_size
                visit.result = msgspec.structs.replace(
                    visit.result,
                    state="done",
                    width=made.width,
                    height=made.height,
                    suffix=made.suffix,
                    bytes=size,
                    faces=made.faces,
                )
                self._note(visit, result=_json(visit.result))
                self.counts["results made"] += 1
            visit.changed()

    def result_file(self, visit: Visit) -> Path:
        """Return the file of a finished result. Raises KioskError."""
        with self._lock:
            if visit.result is None or visit.result.state != "done":
                raise KioskError("wrong-state", "there is no finished result: choose first, and wait for it")
            return self.folder.result(visit.id, visit.result.suffix)

    # Pictures to look at

    def preview(self, visit: Visit, choice: Choice, size: int) -> "bytes | Future[bytes]":
        """Return a preview as JPEG: at once, or as soon as the restorer has time. Raises KioskError."""
        choice = self.checked(visit, choice)
        if (shown := self._studio.shown(visit.id, choice, size)) is not None:
            return shown
        future: Future[bytes] = Future()

        def work() -> None:
            if visit.is_gone:
                future.set_exception(KioskError("not-found", "this visit has ended: start again"))
                return
            with self._lock:
                self.working_since = time.monotonic()
            try:
                file = self.folder.photo(visit.id)
                shown = self._studio.shown(visit.id, choice, size)  # another request may have asked for it
                future.set_result(shown or self._studio.preview(visit.id, file, choice, size))
            except Exception as error:
                future.set_exception(self._as_error(error))
            finally:
                self.working_since = None
            if visit.is_gone:
                self._studio.forget(visit.id)

        self.line.put(Job(visit.id, work, future.set_exception), behind=True)
        return future

    def photo(self, visit: Visit, size: int | None) -> bytes:
        """Return the photo as it came, as JPEG. Raises KioskError."""
        visit.check_ready()
        return self._studio.photo(visit.id, self.folder.photo(visit.id), size)

    def face(self, visit: Visit, index: int, size: int) -> bytes:
        """Return the square around a face, as JPEG. Raises KioskError."""
        visit.check_ready()
        square = self._studio.face(visit.id, index, size)
        if square is None:
            raise KioskError("not-found", "the photo has no such face")
        return square

    # Prints

    def set_prints(self, visit: Visit, prints: tuple[PrintAbout, ...], copies: int | None = None) -> None:
        """Note what becomes of a visit's prints, and how many copies it has had."""
        with self._lock:
            if visit.is_gone:
                return
            visit.prints = prints
            if copies is not None:
                visit.copies = copies
                self._note(visit, copies=copies)
            visit.changed()

    # Watching

    def watch(self, visit: Visit, watcher: Callable[[], None]) -> None:
        """Call `watcher` after each change of a visit, in any thread."""
        with self._lock:
            visit.watchers.append(watcher)

    def unwatch(self, visit: Visit, watcher: Callable[[], None]) -> None:
        """Stop calling `watcher`."""
        with self._lock, suppress(ValueError):
            visit.watchers.remove(watcher)

    def _moved(self, visit_id: str) -> None:
        with self._lock:
            if (visit := self._visits.get(visit_id)) is not None:
                visit.changed()

    # Parts

    def _begin(self, visit: Visit) -> None:
        """Count an attempt, so that a photo that crashes the program is not tried for ever."""
        visit.attempts += 1
        self._note(visit, attempts=visit.attempts)
        self.working_since = time.monotonic()
        visit.changed()

    def _finish(self, visit: Visit) -> None:
        visit.attempts, visit.stage, visit.done, visit.total = 0, None, 0, 0
        self.working_since = None
        if not visit.is_gone:
            self._note(visit, attempts=0)

    def _progress_of(self, visit: Visit, number: int) -> Callable[[Stage, int, int], None]:
        def progress(stage: Stage, done: int, total: int) -> None:
            with self._lock:
                if visit.is_gone or visit.number != number:
                    raise _GoneError
                visit.stage, visit.done, visit.total = stage, done, total
                visit.changed()

        return progress

    def _twice(self, work: Callable[[], Done]) -> Done:
        """Do some work, and once more after reopening the networks if they or the memory failed."""
        try:
            return work()
        except _GoneError:
            raise
        except Exception as error:
            if cause_behind(error, "restore") not in ("engine", "memory"):
                raise
            self._log("retry", f"the networks are opened again: {cause_of(error)}")
            self._studio.reopen()
            return work()

    def _as_error(self, error: Exception) -> KioskError:
        """Return an error as the page shows it, and log what is not the photo's fault."""
        if isinstance(error, KioskError):
            return error
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
        return KioskError(code, cause_of(error))

    def _clean_up(self, visit: Visit) -> None:
        """Delete what was written for a visit that has ended in the meantime."""
        if visit.is_gone:
            self._delete(visit.id)

    def _note(self, visit: Visit, **values: object) -> None:
        """Store something about a visit. If that fails, only a crash would lose it."""
        try:
            self._store.update(visit.id, **values)
        except KioskError as error:
            self._log("not-stored", str(error))

    def _unexpected(self, error: Exception) -> None:
        """Note that a job has failed in a way that nobody thought of."""
        self._log("unexpected", f"a job failed: {type(error).__name__}: {cause_of(error)}")

    def _delete(self, visit_id: str) -> None:
        if self.working_since is None:
            self._studio.forget(visit_id)
        if not self._remove(visit_id):
            self._log("not-deleted", "what is kept of a customer could not be deleted: trying again")

    def _remove(self, visit_id: str) -> bool:
        """Delete the files and the row of a visit, and note whether both are gone."""
        is_gone = self.folder.delete(visit_id)
        try:
            self._store.remove(visit_id)
        except KioskError:
            is_gone = False
        (self._undeleted.discard if is_gone else self._undeleted.add)(visit_id)
        return is_gone


def _is_of_disk(error: Exception) -> bool:
    return isinstance(error, OSError) or (
        isinstance(error, PhotoError) and isinstance(error.__cause__, OSError)
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
