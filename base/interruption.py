"""Handle termination signals like Ctrl-C: they raise KeyboardInterrupt, so that the program can clean up."""

import signal
import sys
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
_COMMANDS = ("bench", "calibration", "engines", "export", "runtime", "training")
"""Packages with modules that `python -m` runs."""


def let_a_start_be_interrupted() -> None:
    """Let Ctrl-C end `python -m` one of our commands at once, without a traceback, until `interruptible`:
    nothing has begun. Programs that import our modules keep their own handling.
    """
    arguments = sys.orig_argv
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if module.partition(".")[0] in _COMMANDS and is_usual and _is_main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block for Ctrl-C, SIGTERM (cron, systemd, `kill`) and SIGHUP (logout).

    Signals that are already ignored (`nohup`) or handled are left as they are. Does nothing outside the main
    thread, since only that may set handlers. An error in the block after a signal is an interruption too: a
    library that was being imported may have turned it into an error of its own.
    """
    last, is_interrupted = -GRACE, False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last, is_interrupted
        now = time.monotonic()
        if now - last >= GRACE:
            last, is_interrupted = now, True
            raise KeyboardInterrupt

    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {}
    if _is_main_thread():
        before = {number: handler for number in _ENDING if (handler := signal.getsignal(number)) in usual}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    except Exception as error:
        if is_interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
