"""Memory: the peak of this process, the machine's free memory, and the memory used on the GPU."""

import ctypes
import math
import resource
import sys
from pathlib import Path


def peak_memory() -> float:
    """Return this process's peak so far in MiB, not counting memory from before its program started."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's ru_maxrss begins with the peak of the process that started this one
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def free_memory() -> float:
    """Return the free memory in MiB; infinity if the system does not report it."""
    information = Path("/proc/meminfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    free = (int(line.split()[1]) / 2**10 for line in lines if line.startswith("MemAvailable"))
    return next(free, math.inf)


class _GpuMemory(ctypes.Structure):
    """nvmlMemory_t of NVIDIA's management library, in bytes."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def used_gpu_memory() -> float | None:
    """Return the memory of the first GPU that all processes use, in MiB; None if the driver does not report
    it.

    It is read from the management library, which uses no GPU memory itself.
    """
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return None
    gpu, memory = ctypes.c_void_p(), _GpuMemory()
    if (
        library.nvmlInit_v2()
        or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(gpu))
        or library.nvmlDeviceGetMemoryInfo(gpu, ctypes.byref(memory))
    ):
        return None
    return float(memory.used) / 2**20
