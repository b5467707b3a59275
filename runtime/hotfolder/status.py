"""What the watcher is doing and has done: figures, and the heartbeat file that shows them."""

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


@dataclass
class Status:
    """The figures of one run. One thread writes them, others read."""

    state: str = "starting"
    """starting, idle, working, waiting (for a cause to pass), no-input, stopped."""
    reason: str = ""
    """What it waits for."""
    photo: Path | None = None
    """What is being worked on."""
    since: float = field(default_factory=time.monotonic)
    """When the state began."""
    queue: int = 0
    """Photos that wait."""
    backend: str = ""
    """What runs the networks, once they are open: `onnxruntime on cpu`."""
    done: int = 0
    """Photos delivered, those without a face included."""
    no_face: int = 0
    """Photos delivered in which no face was found."""
    warnings: Counter[str] = field(default_factory=Counter)
    """Warnings about faces, by code."""
    failures: Counter[str] = field(default_factory=Counter)
    """Photos that failed, by cause."""
    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that failed for a cause that passes, by cause."""
    stage_seconds: Counter[str] = field(default_factory=Counter)
    stage_count: Counter[str] = field(default_factory=Counter)

    def enter(self, state: str, reason: str = "", photo: Path | None = None) -> None:
        """Begin a state, unless it is the present one."""
        if (state, reason, photo) != (self.state, self.reason, self.photo):
            self.state, self.reason, self.photo, self.since = state, reason, photo, time.monotonic()

    def took(self, milliseconds: dict[str, float]) -> None:
        """Note how long each stage of a photo took."""
        for stage, value in milliseconds.items():
            self.stage_seconds[stage] += value / 1000  # type: ignore[assignment]
            self.stage_count[stage] += 1

    def as_json(self) -> dict[str, Any]:
        """Return what the heartbeat shows."""
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
    """Writes the status to a file again and again, from a thread of its own, until closed."""

    def __init__(self, file: Path, status: Status, *, every: float) -> None:
        """Write it now, then every so many seconds. Raises WatchError when it cannot be written."""
        self._file, self._status, self._every = file, status, every
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
        """Write it a last time and end the thread."""
        self._stop.set()
        self._thread.join()
        with suppress(OSError):
            self._write()

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            with suppress(OSError):  # a full disk is the main thread's business
                self._write()

    def _write(self) -> None:
        # Always the same name, so that what a killed run leaves is replaced wherever the file is.
        draft = self._file.with_name(f".{DRAFT}{self._file.name}.tmp")
        draft.unlink(missing_ok=True)
        with write_new(draft, synced=False) as file:  # it is worth nothing after a power cut
            file.write(msgspec.json.encode(self._status.as_json()) + b"\n")
        with vanishing(draft):
            draft.replace(self._file)
