"""The output folder: that it is there, and that there is room on it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from base.errors import WatchError
from base.text import cause_of, one_line
from runtime.commands.failure_cause import cause_behind
from runtime.hotfolder.means import Means

TICK = 0.5
"""Seconds after which a watcher looks around at least: for a signal, and for folders that vanish."""


class Space:
    """Waits for a full disk, and ends the work for anything else that the output refuses."""

    def __init__(self, means: Means, is_stopped: Callable[[], bool]) -> None:
        self._means, self.is_stopped = means, is_stopped
        self._identity = identity_of(means.journal.file)
        self._full = 0
        """How often in a row the disk was full."""

    def check(self) -> None:
        """Make sure that the journal is the file that was opened: its folder may be unmounted or gone."""
        if self._identity is None or identity_of(self._means.journal.file) != self._identity:
            raise WatchError(
                f"the output folder {one_line(self._means.folders.output)} is gone or was replaced: "
                "start again when it is back; photos that were not delivered are still in the input folder"
            )

    def was_found(self) -> None:
        """Note that something was written: the next wait for space is a short one again."""
        self._full = 0

    def wait_or_end(self, error: Exception) -> None:
        """Wait a while if the disk is full; raise WatchError for anything else that the output refuses."""
        if cause_behind(error, "write") != "disk-full":
            raise WatchError(
                f"the output folder {one_line(self._means.folders.output)} cannot be worked with: "
                f"{cause_of(error)}; photos that were not delivered are still in the input folder"
            ) from error
        self._full += 1
        seconds = self._means.rules.wait_of(self._full)
        self._means.status.enter("waiting", "disk-full")
        self._means.status.retries["disk-full"] += 1
        self._means.log(
            "disk-full",
            f"the disk is full ({cause_of(error)}): waiting {seconds:g} s",
            level=logging.WARNING,
            cause="disk-full",
        )
        until = time.monotonic() + seconds
        while not self.is_stopped() and (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, TICK))


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what tells a file or folder from another of its name; None for what is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
