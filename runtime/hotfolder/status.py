"""The watcher's status, and the heartbeat file that shows it."""

import os
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from base.errors import WatchError
from base.files import vanishing, write_new
from base.text import cause_of, one_line, utf8
from runtime.hotfolder.names import DRAFT

_ALWAYS_SHOWN = {"time", "pid", "state", "seconds_in_state", "queue", "done", "failures"}
"""Keys of a heartbeat file, also of one that an older version wrote."""
_LARGEST = 1 << 20
"""Bytes of an existing file that are read to see whether it is a heartbeat."""


@dataclass
class Status:
    """The figures of one run. One thread writes them, others read them."""

    state: str = "starting"
    """starting, idle, working, waiting (for a cause to pass), no-input, stopped."""
    reason: str = ""
    """What it is waiting for."""
    photo: Path | None = None
    """The photo in progress."""
    since: float = field(default_factory=time.monotonic)
    """When the state began."""
    queue: int = 0
    """Photos waiting."""
    backend: str = ""
    """What runs the networks, once they are open, such as `onnxruntime on cpu`."""
    done: int = 0
    """Photos delivered, including those without a face."""
    no_face: int = 0
    """Photos delivered in which no face was found."""
    warnings: Counter[str] = field(default_factory=Counter)
    """Warnings about faces, by code."""
    failures: Counter[str] = field(default_factory=Counter)
    """Photos that failed, by cause."""
    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that failed for a cause that may pass, by cause."""
    stage_seconds: Counter[str] = field(default_factory=Counter)
    stage_count: Counter[str] = field(default_factory=Counter)

    def enter(self, state: str, reason: str = "", photo: Path | None = None) -> None:
        """Enter a state, unless it is the present one."""
        if (state, reason, photo) != (self.state, self.reason, self.photo):
            self.state, self.reason, self.photo, self.since = state, reason, photo, time.monotonic()

    def took(self, milliseconds: dict[str, float]) -> None:
        """Record how long each stage of a photo took."""
        for stage, value in milliseconds.items():
            self.stage_seconds[stage] += value / 1000  # type: ignore[assignment]
            self.stage_count[stage] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the content of the heartbeat file."""
        return {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "pid": os.getpid(),
            "state": self.state,
            "reason": self.reason or None,
            "photo": utf8(self.photo) if self.photo else None,
            "seconds_in_state": round(time.monotonic() - self.since, 1),
            "backend": self.backend or None,
            "queue": self.queue,
            "done": self.done,
            "no_face": self.no_face,
            "warnings": dict(self.warnings),
            "failed": sum(self.failures.values()),
            "failures": dict(self.failures),
            "retries": dict(self.retries),
        }


class Heartbeat:
    """Writes the status to a file at intervals, from its own thread, until closed."""

    def __init__(self, file: Path, status: Status, *, every: float) -> None:
        """Write it now, then every so many seconds.

        Raises WatchError if it cannot be written, or would replace a file that is not a heartbeat.
        """
        self._file, self._status, self._every = file, status, every
        if os.path.lexists(file) and not _is_heartbeat(file):
            raise WatchError(
                f"{one_line(file)} exists and is not a heartbeat file: name another file for --heartbeat"
            )
        try:
            self._write()
        except OSError as error:
            raise WatchError(
                f"the heartbeat file {one_line(file)} cannot be written: {cause_of(error)}; "
                "name one in a folder that exists"
            ) from error
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat")
        self._thread.start()

    def close(self) -> None:
        """Write it for the last time and end the thread."""
        self._stop.set()
        self._thread.join()
        with suppress(OSError):
            self._write()

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            with suppress(OSError):  # the main thread waits for a full disk
                self._write()

    def _write(self) -> None:
        # The name is always the same, so that the file that a killed run leaves is replaced.
        draft = self._file.with_name(f".{DRAFT}{self._file.name}.tmp")
        draft.unlink(missing_ok=True)
        with write_new(draft, synced=False) as file:  # a power cut makes it worthless anyway
            file.write(msgspec.json.encode(self._status.as_json()) + b"\n")
        with vanishing(draft):
            draft.replace(self._file)


def _is_heartbeat(file: Path) -> bool:
    """Return whether a file was written by a watcher; a power cut may have emptied it."""
    if not file.is_file() or file.is_symlink():
        return False
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST).strip(b"\0")
        found = msgspec.json.decode(content) if content else dict.fromkeys(_ALWAYS_SHOWN)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= _ALWAYS_SHOWN
