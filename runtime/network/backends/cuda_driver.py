"""CUDA driver functions that PyCUDA lacks: capturing a stream into a graph, and resetting a lost device.

Called through ctypes, like `engines/gpu.py`, without a package of their own: these are seven functions of the
driver's C interface (CUDA Driver API: Graph Management, Stream Management, Primary Context Management),
unchanged since CUDA 11.4.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from engines.gpu import driver_library

_THREAD_LOCAL = 1  # CUstreamCaptureMode: other threads' work does not break the capture

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
"""The functions and their argument types, as in cuda.h; each returns a CUresult."""


class DriverError(Exception):
    """A driver function failed; the message names it and its CUresult."""


class CudaDriver:
    """The CUDA driver of this machine. Raises DriverError if it is missing or lacks a function."""

    def __init__(self) -> None:
        library = driver_library()
        if library is None:
            raise DriverError("there is no CUDA driver")
        self._functions = {name: _function(library, name) for name in SIGNATURES}

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Capture what `work` enqueues on the stream and return it as an executable graph; nothing runs yet.

        Raises DriverError if the work cannot be captured, and whatever `work` raises. The stream stays
        usable.
        """
        self._call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        graph, ready = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            try:
                work()
            finally:  # otherwise the stream would stay in capture mode and accept no other work
                self._call("cuStreamEndCapture", stream, ctypes.byref(graph))
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(ready), graph, 0)
        finally:
            if graph:
                self._call("cuGraphDestroy", graph)
        return int(ready.value or 0)

    def launch(self, graph: int, stream: int) -> None:
        """Launch a captured graph on a stream."""
        self._call("cuGraphLaunch", graph, stream)

    def destroy(self, graph: int) -> None:
        """Free a captured graph."""
        self._call("cuGraphExecDestroy", graph)

    def pop_context(self) -> None:
        """Pop the current context off this thread."""
        self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def reset(self, device: int) -> None:
        """Destroy everything this process has on a device, including its primary context."""
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
