"""The one warm restorer of the kiosk, shared by customers and the hot folder, which take turns."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime.pixels import Pixels
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.resolved import ResolvedSettings
from runtime.warm_restorer import WarmRestorer


class SharedRestorer(WarmRestorer):
    """A warm restorer that restores one photo at a time for all of its users."""

    def __init__(self, open_restorer: Callable[[], Restorer], opened: Callable[[Restorer], None]) -> None:
        super().__init__(open_restorer, opened)
        self._lock = threading.RLock()

    @contextmanager
    def turn(self) -> Iterator[Restorer]:
        """Wait for a turn and yield the open restorer. Raises GpenEdgeError if it cannot be opened."""
        with self._lock, super().turn() as restorer:
            yield restorer

    def restore(self, photo: Pixels, resolved: ResolvedSettings) -> RestoreResult:
        """Restore a photo in a turn of its own."""
        with self._lock:
            return super().restore(photo, resolved)

    def is_well(self) -> bool:
        """Return whether the networks work."""
        with self._lock:
            return super().is_well()

    def close(self) -> None:
        """Close the restorer; it is opened again when it is needed."""
        with self._lock:
            super().close()

    def close_at_the_end(self, seconds: float) -> bool:
        """Close it if nobody has a turn within some seconds; return whether it is closed.

        A photo on which a GPU hangs keeps its turn for ever.
        """
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            super().close()
        finally:
            self._lock.release()
        return True
