"""The front desk: who is here, what they have brought, what becomes of it, and when it is deleted.

    empty → queued → working → ready          a photo has arrived, waits, is prepared, can be restored
                        ↓
                     failed                   it cannot be restored; another one may be sent

    result: queued → working → done | failed  once a photo is ready, as often as the customer chooses

Only `store.py` and `visit_folder.py` outlive the process. After a crash or the loss of the GPU each visit
within its time is queued again with its photo, and so is a result that was asked for; nothing half done is
ever shown.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from pathlib import Path

import msgspec

from base.errors import DeviceLostError
from base.text import cause_of
from runtime.hotfolder.log import Log
from runtime.serve.clock import Clocks
from runtime.serve.errors import KioskError, disk_error
from runtime.serve.kiosk_config import KioskConfig
from runtime.serve.visits.line import Line
from runtime.serve.visits.links import Links
from runtime.serve.visits.records import Records
from runtime.serve.visits.store import Store
from runtime.serve.visits.studio import Studio
from runtime.serve.visits.tokens import digest, new_token
from runtime.serve.visits.visit import Visit
from runtime.serve.visits.visit_folder import VisitFolder
from runtime.serve.visits.workbench import Workbench
from runtime.serve.wire import Choice, PhotoAbout, PrintAbout, Status


class Desk:
    """All visits of a server. Its methods may be called from any thread."""

    def __init__(
        self,
        folder: VisitFolder,
        store: Store,
        studio: Studio,
        config: KioskConfig,
        log: Log,
        clocks: Clocks,
    ) -> None:
        self.folder, self.config = folder, config
        self._store, self._studio, self._log = store, studio, log
        self._clocks = clocks
        self._lock = threading.RLock()
        self._visits: dict[str, Visit] = {}
        self._keeps = False
        self._records = Records(folder, store, log, clocks)
        self.links = Links(folder, store, config, self._lock, clocks)
        line = Line(config.queue, self._moved, self._unexpected)
        self.work = Workbench(folder, self._records, studio, log, self._lock, line)

    # Beginning and end

    def recover(self) -> None:
        """Resume the visits of an earlier run that have not expired, and delete all others."""
        self._visits = {visit.id: visit for visit in self._records.recover()}
        self.links.recover()
        swept = self.folder.sweep(self._visits, self.links.takes)
        if swept:
            self._log("swept", f"deleted at start-up: {swept} files and folders of customers", files=swept)
        for visit in list(self._visits.values()):
            if visit.number and visit.state == "queued":
                self.work.prepare(visit, always=True)

    @property
    def lost(self) -> DeviceLostError | None:
        """Why nothing can be restored until the process is started again; None while it can."""
        return self._studio.lost

    def keep(self) -> None:
        """Let `close` and `delete_all` end no visit, as a crash would: the next process resumes them."""
        self._keeps = True

    def close(self) -> None:
        """End all visits and delete all of their files, unless they are kept."""
        self.delete_all()
        self.work.line.stop()
        self.delete_all()  # what work that was not done yet has written since
        self._studio.close()

    def delete_all(self) -> None:
        """End all visits and delete all files of customers, unless they are kept."""
        if self._keeps:
            return
        self.end_all()
        with suppress(KioskError, OSError):  # what an interrupted start has not even listed
            self.folder.sweep((), ())
            self._store.clear()

    def tick(self) -> None:
        """Delete what has expired; called every second."""
        with self._lock:
            now, wall = self._clocks.now(), self._clocks.wall()
            over = [each for each in self._visits.values() if each.ends <= now or each.wall_ends <= wall]
            for visit in over:
                self.end(visit, keep_take=True)
            self.links.tick()
            self._records.remove_again()

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
            self._records.add(visit, now)
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
        """Extend a visit, because the customer has touched the screen."""
        with self._lock:
            now, config = self._clocks.now(), self.config
            longest = visit.began + max(config.most_minutes, config.minutes) * 60
            visit.ends, visit.wall_ends = min(now + config.minutes * 60, longest), inf
            self._records.note(visit, end=self._clocks.end(now, visit.ends), age=now - visit.began)
            visit.changed()

    def end(self, visit: Visit, *, keep_take: bool = False) -> None:
        """End a visit and delete all of its files.

        keep_take  keep a result that may be taken home
        """
        with self._lock:
            visit.is_gone, visit.is_deleted = True, not keep_take
            self.work.line.leave(visit.id)
            self._visits.pop(visit.id, None)
            self.links.end_of(visit, keep_take=keep_take)
            self.work.delete(visit.id)
            visit.changed()

    def end_all(self) -> None:
        """End all visits and delete all of their files."""
        with self._lock:
            for visit in list(self._visits.values()):
                self.end(visit)
            self.links.end_all()

    def status(self, visit: Visit) -> Status:
        """Return what the page shows of a visit."""
        place = self.work.line.place(visit.id)
        with self._lock:
            now, found = self._clocks.now(), visit.found
            return Status(
                state=visit.state,
                number=visit.number,
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
        """When the current customer arrived, by `clocks.now`: scans since then may be shown."""
        with self._lock:
            return max((visit.began for visit in self._visits.values()), default=inf)

    @property
    def visits(self) -> int:
        """How many customers are here."""
        with self._lock:
            return len(self._visits)

    # Photos

    def draft(self, visit: Visit) -> Path:
        """Return where an upload is written until it is complete. Raises KioskError."""
        self.work.line.check_room()
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
                self.work.line.check_room()
                self.work.line.leave(visit.id)
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
            self._records.note(visit, number=visit.number, attempts=0, choice=None, result=None)
            self.stay(visit)
            self.work.prepare(visit)

    # Results

    def choose(self, visit: Visit, choice: Choice) -> None:
        """Request a result at full size. Raises KioskError."""
        with self._lock:
            visit.check_here()
            choice = self.checked(visit, choice)
            if visit.result and visit.result.state in ("queued", "working"):
                raise KioskError("wrong-state", "the result is being made: wait until it is done")
            before = visit.choice
            visit.choice = choice
            try:
                self.work.make(visit)
            except KioskError:
                visit.choice = before
                raise
            self._records.note(visit, choice=_json(choice), result=None)
            self.stay(visit)

    def checked(self, visit: Visit, choice: Choice) -> Choice:
        """Return a choice in canonical form. Raises KioskError if no photo is ready."""
        visit.check_ready()
        assert visit.found is not None
        if choice.preset not in self.config.presets:
            offered = ", ".join(self.config.presets)
            raise KioskError("bad-request", f"no such preset is offered here: give one of {offered}")
        faces = len(visit.found.faces)
        if any(index >= faces for index in choice.leave_out):
            raise KioskError("bad-request", f"leave_out names a face that the photo lacks: it has {faces}")
        return msgspec.structs.replace(choice, leave_out=tuple(sorted(set(choice.leave_out))))

    def result_file(self, visit: Visit) -> Path:
        """Return the file of a finished result. Raises KioskError."""
        with self._lock:
            if visit.result is None or visit.result.state != "done":
                raise KioskError("wrong-state", "there is no finished result: choose first, and wait for it")
            return self.folder.result(visit.id, visit.result.suffix)

    # Pictures to look at

    def preview(self, visit: Visit, choice: Choice, size: int) -> "bytes | Future[bytes]":
        """Return a preview as JPEG: at once, or as soon as the restorer has time. Raises KioskError."""
        return self.work.preview(visit, self.checked(visit, choice), size)

    def photo(self, visit: Visit, size: int | None) -> bytes:
        """Return the original photo as JPEG. Raises KioskError."""
        visit.check_ready()
        return self._studio.photo(visit.id, self.folder.photo(visit.id), size)

    def face(self, visit: Visit, index: int, size: int, preset: str | None = None) -> "bytes | Future[bytes]":
        """Return the square around a face, as JPEG. Raises KioskError.

        preset  show it as this preset restores it, as soon as the restorer has nothing else to do
        """
        visit.check_ready()
        square = self._studio.face(visit.id, index, size)
        if square is None:
            raise KioskError("not-found", "the photo has no such face")
        if preset is not None:
            return self.work.face(visit, index, self.checked(visit, Choice(preset)).preset, size)
        return square

    # Prints

    def set_prints(self, visit: Visit, prints: tuple[PrintAbout, ...], copies: int) -> None:
        """Record the state of a visit's prints, and how many copies it has used."""
        with self._lock:
            if visit.is_gone:
                return
            visit.prints, visit.copies = prints, copies
            self._records.note(visit, copies=copies)
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

    def _unexpected(self, error: Exception) -> None:
        """Log that a job failed unexpectedly."""
        self._log("unexpected", f"a job failed: {type(error).__name__}: {cause_of(error)}")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
