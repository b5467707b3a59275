"""A print queue of CUPS, through pycups. No other module talks to CUPS."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.command_line import needs_extra
from base.text import cause_of, one_line
from runtime.serve.errors import KioskError, ServeError
from runtime.serve.kiosk_config import Printing
from runtime.serve.wire import PrinterState, PrintState

TITLE = "gpen-edge kiosk"
"""The name of each job: it says nothing about the customer."""
_IDLE, _STOPPED = 3, 5
_REASONS: tuple[tuple[PrinterState, tuple[str, ...]], ...] = (
    ("paper-out", ("media-empty", "media-needed", "input-tray-missing")),
    ("ink-out", ("marker-supply-empty", "toner-empty")),
    ("jam", ("media-jam",)),
    ("open", ("cover-open", "door-open", "interlock-open")),
    ("offline", ("offline", "shutdown", "timed-out", "connecting-to-device")),
)
"""Prefixes of IPP's printer-state-reasons (RFC 8011, section 5.4.12), the most helpful for users first."""

SENTENCES: dict[PrinterState, str] = {
    "ready": "",
    "printing": "",
    "paper-out": "the printer is out of paper: ask the staff; printing goes on by itself",
    "ink-out": "the printer is out of ink or ribbon: ask the staff; printing goes on by itself",
    "jam": "the paper is jammed: ask the staff; printing goes on by itself",
    "open": "a cover of the printer is open: close it; printing goes on by itself",
    "stopped": "the printer has stopped: ask the staff; it is tried again by itself",
    "offline": "the printer is switched off or not connected: ask the staff",
    "none": "there is no printer",
}

_JOB_STATES: dict[int, PrintState] = {
    3: "waiting",
    4: "waiting",
    5: "printing",
    6: "stopped",
    7: "cancelled",
    8: "failed",
    9: "done",
}
"""IPP's job-state (RFC 8011, section 5.3.7)."""


@dataclass(frozen=True)
class QueueState:
    """The state of the queue."""

    state: PrinterState
    is_stopped: bool
    """CUPS starts no job until the queue is resumed."""


class CupsQueue:
    """A queue. Its methods are called in one thread; they raise KioskError (`printer`) if CUPS fails."""

    def __init__(self, settings: Printing) -> None:
        """Find the queue. Raises ServeError if CUPS does not run or has no such queue."""
        with needs_extra("print", "printing"):
            import cups
        self._cups, self._settings, self._name = cups, settings, settings.printer
        cups.setPasswordCB(lambda prompt: "")  # never ask on a terminal
        self._connection: Any = None
        try:
            queues = self._connected().getPrinters()
        except (RuntimeError, cups.IPPError) as error:
            raise ServeError(
                f"CUPS does not answer ({cause_of(error)}): start it, or remove [printing]"
            ) from error
        if self._name not in queues:
            known = ", ".join(sorted(queues)) or "none"
            raise ServeError(f"CUPS has no printer {one_line(self._name)!r}; there are: {one_line(known)}")

    def state(self) -> QueueState:
        """Return the state of the queue."""
        wanted = ["printer-state", "printer-state-reasons"]
        found = self._ask("getPrinterAttributes", self._name, requested_attributes=wanted)
        number, reasons = found["printer-state"], found["printer-state-reasons"]
        return QueueState(state_of(number, reasons), number == _STOPPED)

    def print(self, file: Path, media: str, copies: int) -> int:
        """Send a JPEG to the printer; return its job number."""
        options = {
            "media": media,
            "copies": str(copies),
            "print-scaling": "fill",
            "job-hold-until": "no-hold",
        }
        return int(self._ask("printFile", self._name, str(file), TITLE, options))

    def job(self, number: int) -> PrintState | None:
        """Return the state of a job; None if CUPS does not know it any more."""
        try:
            found = self._ask("getJobAttributes", number, requested_attributes=["job-state"])
        except KioskError:
            if number in self._ask("getJobs", which_jobs="all", my_jobs=True):
                raise
            return None
        return _JOB_STATES.get(found["job-state"], "waiting")

    def resume(self) -> None:
        """Start the queue again after CUPS has stopped it."""
        self._ask("enablePrinter", self._name)
        self._ask("acceptJobs", self._name)

    def purge(self, numbers: Iterable[int]) -> None:
        """Cancel jobs, and delete the pictures that CUPS keeps of them."""
        for number in numbers:
            self._ask("cancelJob", number, purge_job=True)

    def left_over(self) -> list[int]:
        """Return the jobs of an earlier run, of which CUPS may still keep pictures."""
        wanted = ["job-id", "job-name"]
        jobs = self._ask("getJobs", which_jobs="all", my_jobs=True, requested_attributes=wanted)
        return [number for number, job in jobs.items() if job.get("job-name") == TITLE]

    def _connected(self) -> Any:
        if self._connection is None:
            server = {"host": self._settings.server} if self._settings.server else {}
            self._connection = self._cups.Connection(**server)
        return self._connection

    def _ask(self, operation: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._connected(), operation)(*arguments, **options)
        except (RuntimeError, self._cups.IPPError, self._cups.HTTPError) as error:
            self._connection = None
            cause = error.args[-1] if error.args else error
            raise KioskError(
                "printer", f"the printer does not answer ({one_line(str(cause))}): ask the staff"
            ) from error


def state_of(number: int, reasons: Iterable[str]) -> PrinterState:
    """Return the state of a printer from IPP's printer-state and printer-state-reasons."""
    reasons = list(reasons)
    for state, beginnings in _REASONS:
        if any(reason.startswith(beginnings) for reason in reasons):
            if state == "offline" and number != _STOPPED and "offline-report" not in reasons:
                continue  # a printer that is only being connected to
            return state
    return "stopped" if number == _STOPPED else "ready" if number == _IDLE else "printing"
