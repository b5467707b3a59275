"""The watcher's reports on each photo, in its log and its status."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.text import cause_of, one_line, utf8
from runtime.commands.failure_cause import Cause
from runtime.hotfolder.journal import Entry
from runtime.hotfolder.log import Log
from runtime.hotfolder.status import Status


@dataclass(frozen=True)
class Restoration:
    """The facts reported about a restored photo."""

    preset: str
    faces: int
    """Faces found."""
    warnings: tuple[str, ...]
    """Codes of the warnings about them."""
    timings: dict[str, float]
    """Milliseconds of each stage."""
    remarks: list[str]


@dataclass(frozen=True)
class Reporter:
    """Writes the log's lines about photos, and counts them in the status."""

    status: Status
    log: Log

    def restored(self, entry: Entry, restoration: Restoration) -> None:
        """Report a photo that was restored and delivered."""
        assert entry.output is not None
        status, timings = self.status, restoration.timings
        status.done += 1
        status.took(timings)
        status.no_face += restoration.faces == 0
        status.warnings.update(restoration.warnings)
        output, seconds = one_line(entry.output), sum(timings.values()) / 1000
        by = f"preset {one_line(restoration.preset)}" + (f", {status.backend}" if status.backend else "")
        self._log(
            "done",
            entry.path,
            f"restored as {output} in {seconds:.1f} s ({by})",
            output=utf8(entry.output),
            preset=restoration.preset,
            backend=status.backend or None,
            faces=restoration.faces,
            milliseconds={stage: round(value, 1) for stage, value in timings.items()},
            remarks=restoration.remarks,
        )
        for remark in restoration.remarks:
            self._log("remark", entry.path, remark)

    def restored_earlier(self, entry: Entry) -> None:
        """Report a delivered photo that an earlier run restored."""
        assert entry.output is not None
        self.status.done += 1
        sentence = f"restored as {one_line(entry.output)} by an earlier run"
        self._log("done", entry.path, sentence, output=utf8(entry.output))

    def retried(self, path: Path, cause: Cause, error: Exception, seconds: float) -> None:
        """Report a photo that failed and is tried again later."""
        self.status.retries[cause] += 1
        sentence = f"{cause_of(error)}: trying again in {seconds:g} s"
        self._log("retry", path, sentence, level=logging.WARNING, cause=cause)

    def failed(self, path: Path, cause: Cause, reason: str) -> None:
        """Report a photo that cannot be restored."""
        self.status.failures[cause] += 1
        self._log("failed", path, f"failed: {reason}", level=logging.ERROR, cause=cause)

    def no_sheet(self, path: Path, error: Exception) -> None:
        """Report a delivered photo whose before/after sheet could not be written."""
        self._log("no-sheet", path, f"no before/after sheet: {cause_of(error)}", level=logging.WARNING)

    def gone(self, path: Path) -> None:
        """Report a photo that was removed before it was read."""
        self._log("gone", path, "removed before it was read")

    def changed(self, path: Path) -> None:
        """Report a photo that was written to while it was read."""
        self._log("changed", path, "changed while it was read: waiting until it stops changing")

    def not_moved(self, path: Path, error: Exception) -> None:
        """Report a finished photo whose original cannot be put away now."""
        sentence = f"finished, but its original cannot be put away ({cause_of(error)}): trying again later"
        self._log("not-moved", path, sentence, level=logging.WARNING)

    def still_not_moved(self, count: int, error: Exception) -> None:
        """Report the number of originals that could not be put away this time either."""
        sentence = f"{count} originals still cannot be put away ({cause_of(error)}): trying again later"
        self.log("not-moved", sentence, level=logging.WARNING, photos=count)

    def _log(
        self, event: str, photo: Path, sentence: str, *, level: int = logging.INFO, **fields: Any
    ) -> None:
        self.log(event, f"{one_line(photo)}: {sentence}", level=level, photo=utf8(photo), **fields)
