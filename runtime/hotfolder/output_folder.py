"""The output folder: whether it is still there, and whether its disk has room."""

import logging
from collections.abc import Callable
from pathlib import Path

from base.errors import WatchError
from base.text import cause_of, one_line
from runtime.commands.failure_cause import cause_behind
from runtime.hotfolder.resources import Resources

TICK = 0.5
"""The watcher looks at least this often, in seconds, whether it was stopped and whether its folders exist."""


class OutputFolder:
    """Waits while the disk is full; stops the watcher on any other error of the output folder."""

    def __init__(self, resources: Resources, is_stopped: Callable[[], bool]) -> None:
        self._resources, self.is_stopped = resources, is_stopped
        self._identity = identity_of(resources.journal.file)
        self._waits = 0
        """How many times in a row the disk was full."""

    def check(self) -> None:
        """Raise WatchError unless the journal is the file that was opened: its folder may be unmounted."""
        if self._identity is None or identity_of(self._resources.journal.file) != self._identity:
            raise WatchError(
                f"the output folder {one_line(self._resources.folders.output)} is gone or was replaced: "
                "start again when it is back; photos that were not delivered are still in the input folder"
            )

    def was_written(self) -> None:
        """Note that the disk had room, so that the next wait is short again."""
        self._waits = 0

    def wait_or_end(self, error: Exception) -> None:
        """Wait a while if `error` says that the disk is full; raise WatchError for any other error."""
        if isinstance(error, WatchError):
            raise error
        if cause_behind(error, "write") != "disk-full":
            raise WatchError(
                f"the output folder {one_line(self._resources.folders.output)} cannot be used: "
                f"{cause_of(error)}; photos that were not delivered are still in the input folder"
            ) from error
        self._waits += 1
        seconds = self._resources.rules.wait_of(self._waits)
        self._resources.status.enter("waiting", "disk-full")
        self._resources.status.retries["disk-full"] += 1
        sentence = f"the disk is full ({cause_of(error)}): waiting {seconds:g} s"
        self._resources.log("disk-full", sentence, level=logging.WARNING, cause="disk-full")
        clock = self._resources.clock
        until = clock.now() + seconds
        while not self.is_stopped() and (left := until - clock.now()) > 0:
            self.check()
            clock.sleep(min(left, TICK))


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return an identifier of a file or folder that differs from that of another with its name; None if it
    does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
