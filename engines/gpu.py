"""This machine's NVIDIA GPU, queried from the driver directly, so that no CUDA toolkit is needed."""

import ctypes
import sys
from dataclasses import dataclass

# CUdevice_attribute of the CUDA driver API
_MAJOR, _MINOR, _PROCESSORS = 75, 76, 16


@dataclass(frozen=True)
class Gpu:
    """The properties of a GPU that engines depend on."""

    name: str
    """As the driver reports it: `Orin`, `NVIDIA GeForce RTX 4070`."""
    capability: tuple[int, int]
    """Compute capability: (8, 7)."""
    processors: int
    """Number of streaming multiprocessors; all modules of a family may share a name and differ in this."""

    @property
    def sm(self) -> str:
        """The compute capability as builders write it: `sm_87`."""
        return f"sm_{self.capability[0]}{self.capability[1]}"


def find_gpu(device: int = 0) -> Gpu | None:
    """Return the GPU with that CUDA index, or None if there is no driver or no such GPU."""
    driver = driver_library()
    if driver is None:
        return None
    handle, name, number = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(handle), device):
        return None
    if driver.cuDeviceGetName(name, len(name), handle):
        return None
    found = []
    for attribute in (_MAJOR, _MINOR, _PROCESSORS):
        if driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, handle):
            return None
        found.append(number.value)
    major, minor, processors = found
    return Gpu(name.value.decode(errors="replace"), (major, minor), processors)


def driver_library() -> ctypes.CDLL | None:
    """Return NVIDIA's driver as a C library, or None if it is not installed."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
