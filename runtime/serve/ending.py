"""End the server on request, at any moment, but only after everything is deleted."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
_USUAL = (signal.SIG_DFL, signal.default_int_handler)


class Ending:
    """Whether the server is to end.

    A signal is only noted, so that it interrupts neither a step of the start-up that has to be undone, nor
    the shutdown itself. Long waits use `interrupting` or `calling`.
    """

    def __init__(self) -> None:
        self.is_wanted = False
        self._interrupts = False
        self._stop: Callable[[], None] = lambda: None

    def take_signals(self) -> None:
        """Let Ctrl-C, SIGTERM and SIGHUP end the server; those that are ignored (`nohup`) stay so."""
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                if signal.getsignal(number) in _USUAL:
                    signal.signal(number, self._asked)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise KeyboardInterrupt in the block, once, as soon as the server is to end."""
        self._interrupts = True
        try:
            if self.is_wanted:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False

    def calling(self, stop: Callable[[], None]) -> None:
        """Call `stop` when the server is to end, or at once if it already is."""
        self._stop = stop
        if self.is_wanted:
            stop()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.is_wanted = True
        self._stop()
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt
