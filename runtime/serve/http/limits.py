"""How often one client may ask, so that a phone cannot guess tokens or keep the kiosk busy."""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from runtime.serve.errors import KioskError

_MOST_CLIENTS = 2000


@dataclass(frozen=True)
class Rate:
    """A bucket of requests that fills steadily."""

    burst: float
    per_second: float


PHONE = Rate(60, 2)
"""Requests of one phone."""
WRONG_TOKEN = Rate(10, 0.1)
"""Requests of one phone with a token that does not exist."""
WRONG_PASSWORD = Rate(5, 1 / 30)
"""Wrong passwords for the admin page, from anywhere."""
NEW_VISITS = Rate(300, 10)
"""Visits begun at the kiosk's own page."""


class Limits:
    """Counts requests by what they are for and who asks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._left: OrderedDict[tuple[Rate, str], tuple[float, float]] = OrderedDict()

    def spend(self, rate: Rate, client: str = "") -> None:
        """Count a request. Raises KioskError (`too-many`)."""
        if self._take(rate, client, 1) < 0:
            self._refuse(rate)

    def check(self, rate: Rate, client: str = "") -> None:
        """Raise KioskError (`too-many`) if no request is left, without counting one."""
        if self._take(rate, client, 0) < 1:
            self._refuse(rate)

    def forget(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._left.clear()

    def _take(self, rate: Rate, client: str, count: int) -> float:
        """Return how many requests are left after one more; if that is below 0, it was not counted."""
        key, now = (rate, _network(client)), self._clock()
        with self._lock:
            left, since = self._left.pop(key, (rate.burst, now))
            left = min(rate.burst, left + (now - since) * rate.per_second)
            after = left - count
            self._left[key] = (after if after >= 0 else left, now)
            while len(self._left) > _MOST_CLIENTS:
                self._left.popitem(last=False)
        return after

    def _refuse(self, rate: Rate) -> None:
        seconds = max(1, round(1 / rate.per_second))
        raise KioskError(
            "too-many", f"too many requests: try again in {seconds} seconds", retry_after=seconds
        )


def _network(client: str) -> str:
    """Return the key of a client: for IPv6 its /64 network, since a host may choose among 2^64 addresses."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
