"""A backend and its spare, when the device is lost."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.errors import DeviceLostError
from engines.package import open_package
from runtime.network.backends import Backend, BatchLostError, open_backend
from runtime.network.backends.protocol import Batch
from runtime.network.backends.spare import SparedBackend

CROP = np.zeros((1, 3, 64, 64), np.float32)


class OneBatchAtATime:
    """A backend that a batch holds from `encode` to `release`, and whose device is lost in `generate`."""

    max_batch = 1

    def __init__(self, backend: Backend) -> None:
        self._backend, self._turn, self._is_held = backend, threading.RLock(), False
        self.waited = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def encode(self, crops: Batch, moves: Any = ()) -> Any:
        self._turn.acquire()
        self._is_held = True
        return self._backend.encode(crops, moves)

    def generate(self, state: Any) -> None:
        assert self.waited.wait(10)
        raise DeviceLostError("cuda:0 was lost")

    def close(self) -> None:
        self.waited.set()
        with self._turn:
            if self._is_held:
                self._is_held = False
                self._turn.release()  # acquired in `encode`
            self._backend.close()


@pytest.fixture
def opened(tiny_package: Path) -> Backend:
    return open_backend("onnxruntime", open_package(tiny_package), threads=1)


def test_the_spare_goes_on_after_the_loss(opened: Backend) -> None:
    first = OneBatchAtATime(opened)
    first.waited.set()
    backend = SparedBackend(first, lambda why: opened)
    state = backend.encode(CROP)
    with pytest.raises(BatchLostError, match="onnxruntime on cpu is used instead"):
        backend.generate(state)


def test_closing_during_a_batch_that_is_lost_ends(opened: Backend) -> None:
    backend = SparedBackend(OneBatchAtATime(opened), lambda why: pytest.fail("a spare was opened"))
    state = backend.encode(CROP)
    closing = threading.Thread(target=backend.close, daemon=True)
    closing.start()
    with pytest.raises(DeviceLostError):
        backend.generate(state)
    closing.join(10)
    assert not closing.is_alive()
