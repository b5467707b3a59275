"""Responses to failed requests: an HTTP status, a code for programs and one line for people."""

from typing import Literal

from base.errors import GpenEdgeError
from base.text import cause_of

Code = Literal[
    "bad-request",
    "not-found",
    "forbidden",
    "too-many",
    "too-large",
    "too-slow",
    "not-a-photo",
    "wrong-state",
    "busy",
    "printer",
    "no-printer",
    "disk-full",
    "unavailable",
    "internal",
]

STATUS: dict[Code, int] = {
    "bad-request": 400,
    "not-found": 404,
    "forbidden": 403,
    "too-many": 429,
    "too-large": 413,
    "too-slow": 408,
    "not-a-photo": 422,
    "wrong-state": 409,
    "busy": 503,
    "printer": 502,
    "no-printer": 503,
    "disk-full": 507,
    "unavailable": 503,
    "internal": 500,
}
"""The HTTP status of each code."""


class KioskError(GpenEdgeError):
    """A request cannot be carried out."""

    def __init__(self, code: Code, message: str, *, retry_after: int | None = None) -> None:
        """Create it.

        message      one line: what was wrong and what to do
        retry_after  seconds after which the same request may succeed
        """
        super().__init__(message)
        self.code, self.retry_after = code, retry_after

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]


class ServeError(GpenEdgeError):
    """The server cannot start: its folder, port or configuration cannot be used."""


def disk_error(error: BaseException) -> KioskError:
    """Return the error for a photo that cannot be written; it names no path."""
    return KioskError("disk-full", f"the photo cannot be kept here ({cause_of(error)}): ask the staff")
