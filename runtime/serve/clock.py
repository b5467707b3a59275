"""By which clocks customers' files are deleted.

While the machine runs, by the seconds since it was started: nobody can set that clock, and it goes on while
the machine sleeps. After a restart of the machine only the time of day is left, which may be wrong.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

_BACKWARDS = 1.0
"""Seconds by which the time of day may go back while it is kept exact."""


def seconds_since_boot() -> float:
    """Return the seconds since the machine was started, with those that it has slept."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def this_boot() -> str:
    """Return what is different after each start of the machine; "" if the system does not tell."""
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
    """Which start of the machine `now` counts from; "" if nobody knows."""

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
        """Return how many seconds are left; 0 if the time of day has gone back, since nobody knows then."""
        if self.is_of_this_boot(clocks):
            return self.since_boot - clocks.now()
        wall = clocks.wall()
        if wall < self.touched - _BACKWARDS:
            return 0
        return min(self.ends - wall, self.ends - self.touched)

    def wall_end(self, clocks: Clocks) -> float:
        """Return the time of day at which it ends in any case: the clock may yet be set right."""
        return inf if self.is_of_this_boot(clocks) else self.ends

    def is_of_this_boot(self, clocks: Clocks) -> bool:
        """Return whether the machine has not been restarted since."""
        return bool(self.boot) and self.boot == clocks.boot
