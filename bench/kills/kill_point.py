"""`python -m bench.kills.kill_point STEP IN OUT …`: the hot folder, which kills itself before a step.

A step is anything that changes, or relies on, what is on the disk: a file of the two folders is opened,
renamed, removed or synced, a folder is made, the journal changes; and each restoration, before and after.
STEP 0 never kills. At the end the number of steps is printed. A step of `~S` kills S seconds after the first
photo was taken, wherever the program is then, even inside a library.
"""

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime import warm_restorer, watch
from runtime.hotfolder import journal
from runtime.hotfolder.disk import Disk

_WATCHED = frozenset({"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.utime"})


class Steps:
    """Counts the steps of the main thread, and kills the process before a given one."""

    def __init__(self, last: int, seconds: float, folders: tuple[str, ...]) -> None:
        self.count, self._last, self._seconds, self._folders = 0, last, seconds, folders
        self._thread = threading.get_ident()

    def step(self, name: str) -> None:
        """Count a step."""
        if threading.get_ident() != self._thread:
            return
        self.count += 1
        if self.count == self._last:
            os.write(2, f"killed before: {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what Python reports about the two folders' files."""
        if event in _WATCHED and isinstance(arguments[0], str) and arguments[0].startswith(self._folders):
            self.step(event)

    def traced(self, statement: str) -> None:
        """Count a change of the journal."""
        verb = statement.split(" ", 1)[0]
        if verb in ("INSERT", "UPDATE", "DELETE"):
            if self._seconds and verb == "INSERT":
                # Unhandled, the alarm ends the process like SIGKILL.
                signal.setitimer(signal.ITIMER_REAL, self._seconds)
                self._seconds = 0
            self.step(f"journal {verb}")


def _count_calls(module: Any, name: str, steps: Steps, *, after: bool = False) -> None:
    function: Callable[..., Any] = getattr(module, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        steps.step(name)
        result = function(*arguments, **named)
        if after:
            steps.step(f"what follows {name}")
        return result

    setattr(module, name, counted)


def main() -> int:
    """Run the hot folder; return its exit status."""
    point, photos, output = sys.argv[1:4]
    seconds = float(point[1:]) if point.startswith("~") else 0.0
    steps = Steps(
        0 if seconds else int(point), seconds, (str(Path(photos).resolve()), str(Path(output).resolve()))
    )
    connect = sqlite3.connect

    def traced_connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_trace_callback(steps.traced)
        return connection

    journal.sqlite3.connect = traced_connect  # type: ignore[attr-defined]
    _count_calls(Disk, "rename_new", steps)
    _count_calls(os, "fsync", steps)
    _count_calls(warm_restorer.WarmRestorer, "restore", steps, after=True)
    sys.addaudithook(steps.audit)
    status = watch.main(sys.argv[2:])
    os.write(2, f"steps: {steps.count}\n".encode())
    return status


if __name__ == "__main__":
    sys.exit(main())
