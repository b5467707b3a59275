"""Handle termination signals like Ctrl-C: they raise KeyboardInterrupt, so that the program can clean up."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 5.0
"""Seconds after an interruption in which further ones are ignored: a closed terminal sends several."""

_ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block for Ctrl-C, SIGTERM (cron, systemd, `kill`) and SIGHUP (logout).

    Signals that are already ignored (`nohup`) or handled are left as they are. Does nothing outside the main
    thread, since only that may set handlers.
    """
    last = -GRACE

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= GRACE:
            last = now
            raise KeyboardInterrupt

    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: handler for number in _ENDING if (handler := signal.getsignal(number)) in usual}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
