"""A backend that goes on with another one after its device was lost."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError, DeviceLostError, GpenEdgeError
from base.text import cause_of
from engines.package import Package
from runtime.network.backends.protocol import Backend, Batch, BatchLostError, Move, OpensTiles


@dataclass(frozen=True, eq=False)
class _State:
    """A state, and the backend that it belongs to."""

    backend: Backend
    own: Any


class SparedBackend:
    """A backend and its spare, which is opened when the device is lost, and used from then on.

    The batch that was lost then raises BatchLostError, so that it is encoded again.
    """

    def __init__(self, first: Backend, open_spare: Callable[[str], Backend]) -> None:
        """Take an open backend.

        open_spare  opens the other one, given the reason
        """
        self._open_spare, self._turn, self._closed = open_spare, threading.Lock(), False
        self._use(first)

    @property
    def max_batch(self) -> int:
        """Largest number of crops in a batch."""
        return self._backend.max_batch

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> _State:
        """Upload and encode a batch."""
        backend = self._backend
        with self._going_on(backend):
            return _State(backend, backend.encode(crops, moves))

    def generate(self, state: _State) -> None:
        """Compute r."""
        with self._going_on(state.backend):
            state.backend.generate(state.own)

    def step(self, state: _State, move: int) -> NDArray[np.float32]:
        """Move the estimate; return the relative change, B."""
        with self._going_on(state.backend):
            return state.backend.step(state.own, move)

    def restored(self, state: _State) -> Batch:
        """Return r."""
        with self._going_on(state.backend):
            return state.backend.restored(state.own)

    def estimate(self, state: _State) -> Batch:
        """Return u."""
        with self._going_on(state.backend):
            return state.backend.estimate(state.own)

    def release(self, state: _State) -> None:
        """Free the state's memory."""
        state.backend.release(state.own)

    def close(self) -> None:
        """Free all memory."""
        with self._turn:
            self._closed = True
        self._backend.close()

    def open_tiles(self, package: Package) -> tuple[Callable[[Batch], Batch], str]:
        """Open a photo package, if the backend in use can; what runs a tile raises BatchLostError once this
        has gone on with the spare, which does not run it."""
        backend = self._backend
        if not isinstance(backend, OpensTiles):
            raise BackendError(backend.why)
        with self._going_on(backend):
            tiles, where = backend.open_tiles(package)

        def run(tile: Batch) -> Batch:
            with self._going_on(backend):
                return tiles(tile)

        return run, where

    @contextmanager
    def _going_on(self, backend: Backend) -> Iterator[None]:
        """Raise BatchLostError if the device is lost, after opening the spare."""
        try:
            yield
        except DeviceLostError as error:
            backend.close()  # first of all, since others may wait for the end of this thread's batch
            with self._turn:
                if self._closed:
                    raise
                if backend is self._backend:  # otherwise another thread has already opened the spare
                    self._use(self._opened_spare(error))
            raise BatchLostError(f"{error}; {self.name} on {self.device} is used instead") from error

    def _use(self, backend: Backend) -> None:
        self._backend = backend
        self.name, self.device, self.why = backend.name, backend.device, backend.why
        self.renews = backend.renews

    def _opened_spare(self, lost: DeviceLostError) -> Backend:
        try:
            return self._open_spare(str(lost))
        except GpenEdgeError as error:
            raise DeviceLostError(f"{lost}; nothing else can go on: {cause_of(error)}") from error
