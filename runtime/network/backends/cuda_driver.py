"""What PyCUDA lacks of the CUDA driver: capturing a stream into a graph, and resetting a lost device.

Called as `engines/gpu.py` does, without a package of its own: these are seven functions of the driver's C
interface (CUDA Driver API: Graph Management, Stream Management, Primary Context Management), the same since
CUDA 11.4.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from engines.gpu import driver_library

_THREAD_LOCAL = 1  # CUstreamCaptureMode: what other threads do meanwhile does not spoil the capture

_handle, _out = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (_handle, ctypes.c_int),
    "cuStreamEndCapture": (_handle, _out),
    "cuGraphInstantiateWithFlags": (_out, _handle, ctypes.c_ulonglong),
    "cuGraphLaunch": (_handle, _handle),
    "cuGraphExecDestroy": (_handle,),
    "cuGraphDestroy": (_handle,),
    "cuCtxPopCurrent_v2": (_out,),
    "cuDevicePrimaryCtxReset_v2": (ctypes.c_int,),
}
"""The functions and the types of their arguments, as cuda.h has them; each returns a CUresult."""


class DriverError(Exception):
    """Say which function of the driver failed, with its CUresult."""


class CudaDriver:
    """The CUDA driver of this machine. Raises DriverError where it is not there or lacks a function."""

    def __init__(self) -> None:
        library = driver_library()
        if library is None:
            raise DriverError("there is no CUDA driver")
        self._functions = {name: _function(library, name) for name in SIGNATURES}

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Return a graph, ready to be launched, of what `work` puts on the stream; nothing of it runs yet.

        Raises DriverError when the work cannot be captured, and whatever `work` raises. The stream can be
        used as before then.
        """
        self._call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        graph, ready = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            try:
                work()
            finally:  # a stream that is being captured would take no other work
                self._call("cuStreamEndCapture", stream, ctypes.byref(graph))
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(ready), graph, 0)
        finally:
            if graph:
                self._call("cuGraphDestroy", graph)
        return int(ready.value or 0)

    def launch(self, graph: int, stream: int) -> None:
        """Put a captured graph on a stream."""
        self._call("cuGraphLaunch", graph, stream)

    def destroy(self, graph: int) -> None:
        """Give back a captured graph."""
        self._call("cuGraphExecDestroy", graph)

    def pop_context(self) -> None:
        """Take the current context off this thread."""
        self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def reset(self, device: int) -> None:
        """Destroy all that this process has on a device, its primary context included, whoever made it."""
        self._call("cuDevicePrimaryCtxReset_v2", device)

    def _call(self, name: str, *arguments: Any) -> None:
        code = self._functions[name](*arguments)
        if code:
            raise DriverError(f"{name} failed with CUDA error {code}")


def _function(library: Any, name: str) -> Any:
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise DriverError(f"the CUDA driver has no {name}: it is older than CUDA 11.4") from error
    function.argtypes, function.restype = SIGNATURES[name], ctypes.c_int
    return function
