"""The clock for all waiting. It never jumps, even if the time of day is set."""

import threading
import time


class Clock:
    """The system's monotonic clock, in seconds."""

    def now(self) -> float:
        """Return the current time; only differences are meaningful."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait until an event is set, for at most so many seconds."""
        event.wait(seconds)
