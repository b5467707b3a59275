"""The clock that all waiting goes by. It never jumps, whatever happens to the time of day."""

import threading
import time


class Clock:
    """The system's monotonic clock, in seconds."""

    def now(self) -> float:
        """Return the present time; only differences mean something."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait until an event is set, for at most so many seconds."""
        event.wait(seconds)
