"""The kiosk's health, for monitors, systemd's watchdog and the page."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from runtime.serve.visits.desk import Desk
from runtime.serve.wire import Health

STUCK = 180.0
"""Seconds that work on one photo may take before the kiosk counts as stuck."""


@dataclass(frozen=True)
class HealthCheck:
    """Checks the desk and its queue."""

    desk: Desk
    backend: Callable[[], str]
    """Returns what runs the networks."""
    clock: Callable[[], float] = time.monotonic

    def __call__(self) -> Health:
        """Return the present health."""
        desk, since = self.desk, self.desk.work.working_since
        state, message = "ok", ""
        if desk.work.broken:
            state, message = "failed", f"nothing can be restored any more: {desk.work.broken}"
        elif not desk.work.line.is_alive:
            state, message = "failed", "nothing is restored any more: the queue has stopped"
        elif since is not None and self.clock() - since > STUCK:
            state, message = "stuck", f"one photo has taken more than {STUCK:g} seconds"
        return Health(state, len(desk.work.line), desk.visits, self.backend(), message)  # type: ignore[arg-type]
