"""A restorer that stays open, and is reopened after a failure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from base.errors import DeviceLostError, EngineError
from base.text import cause_of
from runtime.commands.failure_cause import lost_device
from runtime.network.backends import BatchLostError
from runtime.pixels import Pixels
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.resolved import ResolvedSettings


class WarmRestorer:
    """Opens a restorer when it is needed."""

    def __init__(
        self,
        open_restorer: Callable[[], Restorer],
        opened: Callable[[Restorer], None] = lambda restorer: None,
    ) -> None:
        """Create it without opening a restorer.

        opened  called with each restorer that is opened, and when it goes on with another backend
        """
        self._open, self._opened = open_restorer, opened
        self._restorer: Restorer | None = None
        self._backend = ("", "")
        self.lost: DeviceLostError | None = None
        """Why nothing can be restored until the process is started again; None while it can."""

    def warm(self) -> Restorer:
        """Open the restorer unless it is open. Raises GpenEdgeError."""
        if self._restorer is None:
            self._restorer = self._open()
            self._backend = ("", "")
        self._tell(self._restorer)
        return self._restorer

    @contextmanager
    def turn(self) -> Iterator[Restorer]:
        """Yield the open restorer. Raises GpenEdgeError if it cannot be opened."""
        try:
            restorer = self.warm()
            yield restorer
            self._tell(restorer)
        except Exception as error:
            self.lost = self.lost or lost_device(error)
            raise

    def restore(self, photo: Pixels, resolved: ResolvedSettings) -> RestoreResult:
        """Restore a photo.

        Raises EngineError if the restorer cannot be opened, whatever the reason: it is not the photo's fault.
        """
        try:
            self.warm()
        except Exception as error:
            self.lost = self.lost or lost_device(error)
            raise EngineError(f"it cannot be opened again: {cause_of(error)}") from error
        with self.turn() as restorer:
            return restorer.restore(photo, resolved.settings, resolved.by_face)

    def is_well(self) -> bool:
        """Return whether the networks work, and a failure was therefore the photo's fault."""
        with suppress(Exception):
            try:
                return self._runs()
            except BatchLostError:  # it has recovered
                return self._runs()
        return False

    def _runs(self) -> bool:
        """Run the networks once; return whether the result is finite."""
        with self.turn() as restorer:
            size, backend = restorer.package.manifest.size, restorer.backend
            state = backend.encode(np.zeros((1, 3, size, size), np.float32))
            try:
                backend.generate(state)
                return bool(np.isfinite(backend.restored(state)).all())
            finally:
                backend.release(state)

    def _tell(self, restorer: Restorer) -> None:
        """Tell which backend is used, unless it has been told."""
        backend = restorer.backend.name, restorer.backend.device
        if backend != self._backend:
            self._backend = backend
            self._opened(restorer)

    def close(self) -> None:
        """Close the restorer; it is opened again when it is needed."""
        if self._restorer is not None:
            with suppress(Exception):  # a broken one may fail to close
                self._restorer.close()
        self._restorer = None
