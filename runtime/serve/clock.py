"""The clocks by which customers' files are deleted. While the machine runs, the clock is the time since it
started, which nobody can set and which continues while the machine sleeps. After a restart only the time of
day remains, which may be wrong.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

_BACKWARDS = 1.0
"""Seconds by which the time of day may go back when it is synchronised."""


def seconds_since_boot() -> float:
    """Return the seconds since the machine started, including sleep."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def this_boot() -> str:
    """Return an identifier of this start of the machine; "" if the system has none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


@dataclass(frozen=True)
class Clocks:
    """The clocks of a server."""

    now: Callable[[], float] = seconds_since_boot
    wall: Callable[[], float] = time.time
    """The time of day, in seconds since 1970."""
    boot: str = ""
    """The start of the machine that `now` counts from; "" if unknown."""

    def end(self, touched: float, ends: float) -> "End":
        """Return the end of something, both times by `now`, as it is stored."""
        wall, now = self.wall(), self.now()
        return End(wall - (now - touched), wall + (ends - now), self.boot, ends)


@dataclass(frozen=True)
class End:
    """When something of a customer is to be deleted, in a form that survives a restart."""

    touched: float
    """The time of day of the last touch."""
    ends: float
    """The time of day of the end."""
    boot: str
    since_boot: float
    """The end in seconds since the start of the machine named by `boot`."""

    def left(self, clocks: Clocks) -> float:
        """Return the number of seconds left; 0 if the time of day has gone back, since it is then unknown."""
        if self.is_of_this_boot(clocks):
            return self.since_boot - clocks.now()
        wall = clocks.wall()
        if wall < self.touched - _BACKWARDS:
            return 0
        return min(self.ends - wall, self.ends - self.touched)

    def wall_end(self, clocks: Clocks) -> float:
        """Return the time of day at which it ends at the latest, even if the clock is corrected later."""
        return inf if self.is_of_this_boot(clocks) else self.ends

    def is_of_this_boot(self, clocks: Clocks) -> bool:
        """Return whether the machine has not been restarted since."""
        return bool(self.boot) and self.boot == clocks.boot
