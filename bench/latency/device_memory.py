"""How much of the GPU's memory is taken, asked of the driver: that itself takes none."""

import ctypes
import sys


class _Memory(ctypes.Structure):
    """nvmlMemory_t of NVIDIA's management library, in bytes."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def used_memory() -> float | None:
    """Return what all processes hold of the first GPU, in MiB; None where nothing tells."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return None
    gpu, memory = ctypes.c_void_p(), _Memory()
    if (
        library.nvmlInit_v2()
        or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(gpu))
        or library.nvmlDeviceGetMemoryInfo(gpu, ctypes.byref(memory))
    ):
        return None
    return float(memory.used) / 2**20
