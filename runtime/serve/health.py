"""The kiosk's health, for monitors, systemd's watchdog and the page."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from runtime.serve.visits.desk import Desk
from runtime.serve.wire import Health

STUCK = 180.0
"""Seconds without progress on a photo after which the kiosk counts as stuck."""


@dataclass(frozen=True)
class HealthCheck:
    """Checks the desk and its queue."""

    desk: Desk
    backend: Callable[[], str]
    """Returns what runs the networks."""
    clock: Callable[[], float] = time.monotonic

    def __call__(self) -> Health:
        """Return the present health."""
        desk, moved = self.desk, self.desk.work.moved
        state, message = "ok", ""
        if desk.work.broken:
            state, message = "failed", f"nothing can be restored any more: {desk.work.broken}"
        elif not desk.work.line.is_alive:
            state, message = "failed", "nothing is restored any more: the queue has stopped"
        elif moved is not None and self.clock() - moved > STUCK:
            state, message = "stuck", f"a photo has made no progress for {STUCK:g} seconds"
        return Health(state, len(desk.work.line), desk.visits, self.backend(), message)  # type: ignore[arg-type]
