"""A GPU in this process, through PyCUDA: its primary context, one stream, device and pinned memory."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError, EngineError
from base.text import cause_of
from runtime.network.backends.cuda_driver import CudaDriver, DriverError

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: nothing waits for the legacy stream, which cannot be captured

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Block:
    """A block of GPU memory."""

    allocation: Any
    """pycuda.driver.DeviceAllocation"""
    size: int

    @property
    def address(self) -> int:
        """Its address, aligned to 256 bytes by CUDA."""
        return int(self.allocation)


class CudaDevice:
    """An open GPU; call its methods while it is `current` in the calling thread.

    The context is the primary one, which TensorRT uses too; between uses it is current in no thread.
    """

    def __init__(self, index: int) -> None:
        """Open the GPU with that CUDA index. Raises BackendError if it cannot be used."""
        self._cuda = _pycuda_driver()
        self._closed = False
        self.errors: tuple[type[Exception], ...] = (self._cuda.Error, DriverError, EngineError)
        """Exceptions that these methods, and TensorRT's calls, raise when the GPU fails."""
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
            raise BackendError(f"cuda:{index} cannot be used: {cause_of(error)}") from error

    @property
    def stream(self) -> int:
        """The stream's handle, in TensorRT's form."""
        return int(self._stream.handle)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU current in this thread during the block; PyCUDA's and TensorRT's calls use it."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def allocate(self, size: int) -> Block:
        """Allocate GPU memory."""
        return Block(self._cuda.mem_alloc(max(size, 1)), size)

    def free(self, block: Block) -> None:
        """Free a block of GPU memory."""
        block.allocation.free()

    def allocate_pinned(self, size: int) -> Bytes:
        """Allocate page-locked host memory, so that copies are asynchronous."""
        pinned: Bytes = self._cuda.pagelocked_empty(max(size, 1), np.uint8)
        return pinned

    def free_pinned(self, pinned: Bytes) -> None:
        """Free pinned memory; no view of it may be used afterwards."""
        allocation: Any = pinned.base
        allocation.free()

    def upload(self, address: int, pinned: Bytes) -> None:
        """Enqueue a copy from the host to the GPU."""
        self._cuda.memcpy_htod_async(address, pinned, self._stream)

    def download(self, pinned: Bytes, address: int) -> None:
        """Enqueue a copy from the GPU to the host."""
        self._cuda.memcpy_dtoh_async(pinned, address, self._stream)

    def copy(self, to: int, address: int, size: int) -> None:
        """Enqueue a copy within the GPU."""
        self._cuda.memcpy_dtod_async(to, address, size, self._stream)

    def wait(self) -> None:
        """Wait until the stream has finished all work."""
        self._stream.synchronize()

    def is_full(self, error: Exception) -> bool:
        """Return whether an error means that the GPU's memory is full."""
        return isinstance(error, self._cuda.MemoryError)

    def answers(self) -> bool:
        """Return whether the context still works; after a sticky error every call fails."""
        try:
            with self.current():
                self._cuda.Context.synchronize()
        except self.errors:
            return False
        return True

    def close(self, *, lost: bool = False) -> None:
        """Release the stream and the context; closing again does nothing.

        lost  the context no longer responds: reset it in the driver, since after some errors it can then be
              created again
        """
        if self._closed:
            return
        self._closed = True
        with suppress(*self.errors):
            self._context.push()
            try:
                del self._stream
            finally:
                # PyCUDA releases a context only in the thread that created it, unless it is current; and it
                # then leaves a primary one on the driver's own stack.
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
            f"PyCUDA cannot be loaded ({cause_of(error)}): it needs NVIDIA's driver, and must be compiled "
            "for this Python: pip install --force-reinstall --no-cache-dir pycuda"
        ) from error
