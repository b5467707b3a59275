"""A restorer that stays open, and is reopened after a failure."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from base.errors import EngineError
from base.text import cause_of
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

        opened  called with each restorer that is opened
        """
        self._open, self._opened = open_restorer, opened
        self._restorer: Restorer | None = None

    def warm(self) -> Restorer:
        """Open the restorer unless it is open. Raises GpenEdgeError."""
        if self._restorer is None:
            self._restorer = self._open()
            self._opened(self._restorer)
        return self._restorer

    def restore(self, photo: Pixels, resolved: ResolvedSettings) -> RestoreResult:
        """Restore a photo.

        Raises EngineError if the restorer cannot be opened, whatever the reason: it is not the photo's fault.
        """
        try:
            restorer = self.warm()
        except Exception as error:
            raise EngineError(f"it cannot be opened again: {cause_of(error)}") from error
        return restorer.restore(photo, resolved.settings, resolved.by_face)

    def is_well(self) -> bool:
        """Return whether the networks work, and a failure was therefore the photo's fault."""
        try:
            restorer = self.warm()
            size, backend = restorer.package.manifest.size, restorer.backend
            state = backend.encode(np.zeros((1, 3, size, size), np.float32))
            try:
                backend.generate(state)
                return bool(np.isfinite(backend.restored(state)).all())
            finally:
                backend.release(state)
        except Exception:
            return False

    def close(self) -> None:
        """Close the restorer; it is opened again when it is needed."""
        if self._restorer is not None:
            with suppress(Exception):  # a broken one may fail to close
                self._restorer.close()
        self._restorer = None
