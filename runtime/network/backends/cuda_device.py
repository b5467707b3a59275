"""A GPU in this process, through PyCUDA: its primary context, one stream, its memory, pinned memory."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError, EngineError
from runtime.network.backends.cuda_driver import CudaDriver, DriverError

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: nothing waits for the legacy stream, which cannot be captured

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Block:
    """A piece of the GPU's memory."""

    allocation: Any
    """pycuda.driver.DeviceAllocation"""
    size: int

    @property
    def address(self) -> int:
        """Its address; CUDA aligns it to 256 bytes."""
        return int(self.allocation)


class CudaDevice:
    """A GPU, held open: what is done with it is done while it is `current` in the calling thread.

    The context is the primary one, which TensorRT uses too; it is no thread's between two uses.
    """

    def __init__(self, index: int) -> None:
        """Take the GPU with that CUDA index. Raises BackendError when there is no way to use it."""
        self._cuda = _pycuda_driver()
        self.errors: tuple[type[Exception], ...] = (self._cuda.Error, DriverError, EngineError)
        """What the methods, and TensorRT's calls, raise when the GPU fails."""
        try:
            self.driver = CudaDriver()
            self._cuda.init()
            if not 0 <= index < self._cuda.Device.count():
                raise BackendError(f"there is no cuda:{index}: this machine has {self._cuda.Device.count()}")
            self._index = index
            self._context = self._cuda.Device(index).retain_primary_context()
            with self.current():
                self._stream = self._cuda.Stream(_NON_BLOCKING)
        except self.errors as error:
            raise BackendError(f"cuda:{index} cannot be used: {one_line_of(error)}") from error

    @property
    def stream(self) -> int:
        """The stream's handle, as TensorRT takes it."""
        return int(self._stream.handle)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU this thread's while the block lasts; PyCUDA's and TensorRT's calls go to it."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def allocate(self, size: int) -> Block:
        """Return a piece of the GPU's memory."""
        return Block(self._cuda.mem_alloc(max(size, 1)), size)

    def free(self, block: Block) -> None:
        """Give back a piece of the GPU's memory."""
        block.allocation.free()

    def allocate_pinned(self, size: int) -> Bytes:
        """Return memory of this process that the GPU can reach, so that copies go by themselves."""
        pinned: Bytes = self._cuda.pagelocked_empty(max(size, 1), np.uint8)
        return pinned

    def free_pinned(self, pinned: Bytes) -> None:
        """Give back pinned memory; no view of it may be used any more."""
        allocation: Any = pinned.base
        allocation.free()

    def upload(self, address: int, pinned: Bytes) -> None:
        """Put a copy from here to the GPU on the stream."""
        self._cuda.memcpy_htod_async(address, pinned, self._stream)

    def download(self, pinned: Bytes, address: int) -> None:
        """Put a copy from the GPU to here on the stream."""
        self._cuda.memcpy_dtoh_async(pinned, address, self._stream)

    def copy(self, to: int, address: int, size: int) -> None:
        """Put a copy within the GPU on the stream."""
        self._cuda.memcpy_dtod_async(to, address, size, self._stream)

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it."""
        self._stream.synchronize()

    def is_full(self, error: Exception) -> bool:
        """Say whether an error is the GPU's memory being full."""
        return isinstance(error, self._cuda.MemoryError)

    def answers(self) -> bool:
        """Say whether the context still works; after an error that sticks to it, every call fails."""
        try:
            with self.current():
                self._cuda.Context.synchronize()
        except self.errors:
            return False
        return True

    def close(self, *, lost: bool = False) -> None:
        """Give back stream and context.

        lost  the context does not answer any more: make the driver forget it, so that it can be had anew
        """
        with suppress(*self.errors):
            self._context.push()
            del self._stream
            # PyCUDA gives a context back only in the thread that took it, unless it is current; and leaves
            # a primary one on the driver's own stack then.
            self.driver.pop_context()
        with suppress(*self.errors):
            self._context.detach()
        if lost:
            with suppress(*self.errors):
                self.driver.reset(self._index)


def _pycuda_driver() -> Any:
    try:
        return importlib.import_module("pycuda.driver")
    except ModuleNotFoundError as error:
        if error.name not in ("pycuda", "pycuda.driver"):
            raise BackendError(f"PyCUDA is installed but cannot be loaded: {error}") from error
        raise BackendError(
            "PyCUDA is not installed: pip install 'gpen-edge[tensorrt]' (on a Jetson: pip install pycuda)"
        ) from error
    except ImportError as error:  # it is linked to the driver
        raise BackendError(
            f"PyCUDA cannot be loaded ({one_line_of(error)}): it needs NVIDIA's driver, and to be compiled "
            "for this Python: pip install --force-reinstall --no-cache-dir pycuda"
        ) from error


def one_line_of(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__
