"""The prints of all customers: one job at a time, watched until the paper is out.

waiting → printing → done | failed | cancelled
             ↕
   paper-out, stopped    CUPS keeps the job; when the paper is filled it goes on, and a queue that CUPS
                         has stopped is started again every few seconds
"""

import threading
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from base.files import for_its_owner, vanishing
from base.text import cause_of
from runtime.hotfolder.log import Log
from runtime.serve.clock import seconds_since_boot
from runtime.serve.errors import KioskError
from runtime.serve.kiosk_config import Paper, Printing
from runtime.serve.printing.cups_queue import SENTENCES, QueueState
from runtime.serve.printing.paper import encoded, on_paper
from runtime.serve.visits.desk import Desk
from runtime.serve.visits.tokens import new_token
from runtime.serve.visits.visit import Visit
from runtime.serve.wire import PrintAbout, PrinterAbout, PrintState

_LOOK = 1.0
"""Seconds between checks of the printer while it prints; three times that otherwise."""
_ENDING = 5.0
"""Seconds that CUPS has at shutdown to delete its pictures."""
_TROUBLES = ("paper-out", "ink-out", "jam", "open", "offline")
_ENDED = ("done", "failed", "cancelled")


class Queue(Protocol):
    """What a print queue does; see `cups_queue.CupsQueue`."""

    def state(self) -> QueueState: ...  # noqa: D102
    def print(self, file: Path, media: str, copies: int) -> int: ...  # noqa: D102
    def job(self, number: int) -> PrintState | None: ...  # noqa: D102
    def resume(self) -> None: ...  # noqa: D102
    def purge(self, numbers: list[int]) -> None: ...  # noqa: D102
    def left_over(self) -> list[int]: ...  # noqa: D102


@dataclass(eq=False)
class _Print:
    visit: Visit
    about: PrintAbout
    paper: Paper
    file: Path
    began: float
    job: int | None = None
    is_unwanted: bool = False


class Printer:
    """A printer and the thread that watches it. Its methods may be called from any thread."""

    def __init__(self, queue: Queue, settings: Printing, desk: Desk, log: Log) -> None:
        self._queue, self._settings, self._desk, self._log = queue, settings, desk, log
        self._papers = {paper.name: paper for paper in settings.papers}
        self._waiting: deque[_Print] = deque()
        self._present: _Print | None = None
        self._changed = threading.Condition()
        self._adding = threading.Lock()
        """Held from the look at a visit's copies until they are counted."""
        self._kept: list[int] = []
        """Jobs that have ended, of which CUPS may still keep the picture."""
        self._stopped = False
        self._seen = QueueState("offline", False)
        self._resumed = float("-inf")
        self._wants_resume = False
        self._thread = threading.Thread(target=self._run, name="kiosk-printer", daemon=True)

    def start(self) -> None:
        """Delete what CUPS keeps of an earlier run, and start watching the printer."""
        self._thread.start()

    def close(self) -> None:
        """Cancel everything, and delete what CUPS keeps; if it does not answer, the next start does that."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(1.5 * _ENDING)
            if self._thread.is_alive():
                self._log("printer", "CUPS does not answer: what it keeps is deleted at the next start")

    def about(self) -> PrinterAbout:
        """Return the state of the printer."""
        with self._changed:
            waiting = len(self._waiting) + (self._present is not None)
            return PrinterAbout(self._seen.state, SENTENCES[self._seen.state], waiting)

    def paper(self, name: str) -> Paper:
        """Return a paper that is offered. Raises KioskError."""
        if name not in self._papers:
            raise KioskError(
                "bad-request", f"no such paper is offered: give one of {', '.join(self._papers)}"
            )
        return self._papers[name]

    def preview(self, visit: Visit, paper: str, size: int) -> bytes:
        """Return what will be on the paper, as JPEG. Raises KioskError."""
        on = self.paper(paper)
        dpi = size / (max(on.width_mm, on.height_mm) / 25.4)
        return encoded(on_paper(self._desk.result_file(visit), on, dpi))

    def add(self, visit: Visit, paper: str, copies: int) -> None:
        """Print the finished result of a visit. Raises KioskError."""
        with self._adding:
            self._add(visit, paper, copies)

    def _add(self, visit: Visit, paper: str, copies: int) -> None:
        on, result = self.paper(paper), self._desk.result_file(visit)
        if visit.copies + copies > self._settings.copies:
            left = max(0, self._settings.copies - visit.copies)
            raise KioskError(
                "wrong-state",
                f"{self._settings.copies} copies are the most for one customer: {left} are left",
            )
        name = new_token()
        file = self._desk.folder.print_file(name)
        try:
            with vanishing(file), open(file, "xb", opener=for_its_owner) as paper_file:
                paper_file.write(encoded(on_paper(result, on)))
        except OSError as error:
            raise KioskError(
                "disk-full", f"the picture cannot be printed ({cause_of(error)}): ask the staff"
            ) from error
        about = PrintAbout(name, paper, copies, "waiting")
        self._desk.stay(visit)
        with self._changed:
            self._desk.set_prints(visit, (*visit.prints, about), visit.copies + copies)
            self._waiting.append(_Print(visit, about, on, file, seconds_since_boot()))
            self._changed.notify_all()

    def again(self, visit: Visit, name: str) -> None:
        """Print once more what was printed. Raises KioskError."""
        about = self._about(visit, name)
        self.add(visit, about.paper, about.copies)

    def cancel(self, visit: Visit, name: str) -> None:
        """Cancel a print; copies that were not printed may be printed later. Raises KioskError."""
        about = self._about(visit, name)
        if about.state in _ENDED:
            raise KioskError("wrong-state", f"this print is {about.state} already")
        self._cancel({name})

    def resume(self) -> None:
        """Start a queue that CUPS has stopped, at once."""
        with self._changed:
            self._wants_resume = True
            self._changed.notify_all()

    def cancel_all(self) -> None:
        """Cancel all prints."""
        self._cancel(None)

    def _cancel(self, names: Collection[str] | None) -> None:
        """Cancel some prints; None stands for all."""
        with self._changed:
            for each in (*self._waiting, *filter(None, [self._present])):
                each.is_unwanted |= names is None or each.about.id in names
            self._changed.notify_all()

    def _about(self, visit: Visit, name: str) -> PrintAbout:
        about = next((each for each in visit.prints if each.id == name), None)
        if about is None:
            raise KioskError("not-found", "there is no such print")
        return about

    def _run(self) -> None:
        is_swept = resumes = False
        while not self._stopped:
            with self._changed:
                resumes, self._wants_resume = resumes or self._wants_resume, False
            try:
                if not is_swept:
                    self._kept, is_swept = self._queue.left_over(), True
                self._purge()
                self._look(resumes=resumes)
                resumes = False  # a wish is kept while the printer does not answer
            except KioskError as error:
                self._note(QueueState("offline", False), str(error))
            except Exception as error:  # whatever CUPS or the disk do: printing goes on once they can
                self._note(QueueState("offline", False), f"{type(error).__name__}: {cause_of(error)}")
            with self._changed:
                busy = self._present is not None or self._waiting or self._kept
                if not self._stopped and not self._wants_resume:
                    self._changed.wait(_LOOK if busy else 3 * _LOOK)
        self._purge_at_the_end()

    def _purge_at_the_end(self) -> None:
        if self._present and self._present.job is not None:
            self._kept.append(self._present.job)
        ends = seconds_since_boot() + _ENDING
        try:
            self._purge()
            while self._kept and seconds_since_boot() < ends:
                time.sleep(0.2)
                self._purge()
        except Exception as error:
            self._log("printer", cause_of(error))

    def _look(self, *, resumes: bool) -> None:
        """Take one step: check the printer, resume it, and continue the current print."""
        self._note(self._queue.state(), "")
        self._resume_if_stopped(resumes=resumes)
        with self._changed:
            gone = [each for each in self._waiting if self._is_over(each)]
            self._waiting = deque(each for each in self._waiting if each not in gone)
            if self._present is None and self._waiting:
                self._present = self._waiting.popleft()
            present = self._present
        for each in gone:
            self._end(each, "cancelled")
        if present is not None:
            self._take_further(present)

    def _is_over(self, each: _Print) -> bool:
        """Return whether a print is to be cancelled, by the customer or because its time is up."""
        is_late = seconds_since_boot() - each.began > self._desk.config.minutes * 60
        return each.is_unwanted or each.visit.is_deleted or (each.visit.is_gone and is_late)

    def _resume_if_stopped(self, *, resumes: bool) -> None:
        every, now = self._settings.resume_seconds, seconds_since_boot()
        due = every > 0 and self._present is not None and now - self._resumed >= every
        if resumes or (self._seen.is_stopped and due):
            self._resumed = now
            self._queue.resume()
            self._log("printer", "the printer's queue was started again")

    def _take_further(self, present: _Print) -> None:
        if self._is_over(present):
            self._finish(present, "cancelled")
            return
        if present.job is None:
            present.job = self._queue.print(present.file, present.paper.media, present.about.copies)
            present.file.unlink(missing_ok=True)
        state = self._queue.job(present.job)
        if state is None or state in _ENDED:
            self._finish(present, state or "cancelled")
            return
        if self._seen.state == "paper-out":
            state = "paper-out"
        elif self._seen.is_stopped or self._seen.state in _TROUBLES:
            state = "stopped"
        self._tell(present, state, SENTENCES[self._seen.state] if state != "printing" else "")

    def _finish(self, present: _Print, state: PrintState) -> None:
        """End the present print, and have CUPS delete its picture."""
        with self._changed:
            self._present = None
            self._kept += [present.job] if present.job is not None else []
        self._purge()
        self._end(present, state)

    def _end(self, each: _Print, state: PrintState) -> None:
        each.file.unlink(missing_ok=True)
        message = "the printer has refused this picture: ask the staff" if state == "failed" else ""
        self._tell(each, state, message, returned=each.about.copies if state != "done" else 0)
        self._log("print", f"a print is {state}", state=state, copies=each.about.copies)

    def _purge(self) -> None:
        """Have CUPS delete the pictures of finished jobs, which it refuses until a job has fully ended."""
        for job in self._kept:
            with suppress(KioskError):
                self._queue.purge([job])
        if self._kept:
            left = self._queue.left_over()
            self._kept = [job for job in self._kept if job in left]

    def _tell(self, each: _Print, state: PrintState, message: str, *, returned: int = 0) -> None:
        """Record the state of a print in its visit.

        returned  copies that were not printed, and may be printed later
        """
        if (state, message) == (each.about.state, each.about.message):
            return
        each.about, visit = msgspec.structs.replace(each.about, state=state, message=message), each.visit
        with self._changed:
            prints = tuple(each.about if old.id == each.about.id else old for old in visit.prints)
            self._desk.set_prints(visit, prints, visit.copies - returned)

    def _note(self, seen: QueueState, message: str) -> None:
        with self._changed:
            before, self._seen = self._seen, seen
        if seen.state != before.state:
            self._log(
                "printer", f"printer: {seen.state}{f' ({message})' if message else ''}", state=seen.state
            )
