"""Check the runtime's layer over CUDA (`runtime.network.backends.cuda_device`) against a real GPU."""

import importlib
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from base.text import cause_of
from runtime.network.backends.cuda_device import CudaDevice

COPIED = 1 << 26
"""Bytes of the copies that are timed."""
TURNS = 12
TOO_MUCH = 1 << 50
"""Bytes that no GPU has."""
OUT_OF_BOUNDS = "__global__ void crash(int *p) { p[1LL << 40] = 1; }"


def cuda_layer() -> dict[str, Any]:
    """Return what each check found. Raises BackendError if the GPU cannot be opened."""
    checks: dict[str, Callable[[CudaDevice], Any]] = {
        "copies come back": _copies_come_back,
        "upload, GB/s": partial(_rate, upload=True),
        "download, GB/s": partial(_rate, upload=False),
        "a recorded graph replays with new contents": _replays,
        "full memory is noticed, and less still fits": _notices_full_memory,
    }
    found: dict[str, Any] = {}
    for name, check in checks.items():
        device = CudaDevice(0)
        try:
            found[name] = check(device)
        except Exception as error:  # from the driver: the next check may still work
            found[name] = _failure(error)
        finally:
            device.close(lost=not device.answers())
    found["a lost context is noticed, and opened again"] = _lost_apart()  # last: it may cost the GPU
    return found


def _copies_come_back(device: CudaDevice) -> bool:
    with device.current():
        pinned, back = device.allocate_pinned(1000), device.allocate_pinned(1000)
        first, second = device.allocate(1000), device.allocate(1000)
        pinned[:1000] = np.random.default_rng(0).integers(256, size=1000)
        back[:] = 0
        device.upload(first.address, pinned)
        device.copy(second.address, first.address, 1000)
        device.download(back, second.address)
        device.wait()
        same = bool((pinned == back).all())
        for block in (first, second):
            device.free(block)
    return same


def _rate(device: CudaDevice, *, upload: bool) -> float:
    with device.current():
        pinned, block, times = device.allocate_pinned(COPIED), device.allocate(COPIED), []
        for _ in range(TURNS):
            started = time.perf_counter()
            if upload:
                device.upload(block.address, pinned)
            else:
                device.download(pinned, block.address)
            device.wait()
            times.append(time.perf_counter() - started)
        device.free(block)
    return round(COPIED / float(np.median(times)) / 1e9, 1)


def _replays(device: CudaDevice) -> bool:
    with device.current():
        pinned, back, block = device.allocate_pinned(256), device.allocate_pinned(256), device.allocate(256)

        def work() -> None:
            device.upload(block.address, pinned)
            device.download(back, block.address)

        graph = device.driver.capture(device.stream, work)
        right = []
        for value in (3, 200):
            pinned[:] = value
            device.driver.launch(graph, device.stream)
            device.wait()
            right.append(bool((back == value).all()))
        device.driver.destroy(graph)
        device.free(block)
    return all(right)


def _notices_full_memory(device: CudaDevice) -> bool:
    with device.current():
        try:
            device.allocate(TOO_MUCH)
        except device.errors as error:
            noticed = device.is_full(error)
        else:
            noticed = False
        device.free(device.allocate(COPIED))
    return noticed


def lost_context() -> dict[str, Any]:
    """Lose the GPU by writing out of bounds; return whether that is noticed, and whether it opens again.

    Nothing else in this process can use the GPU after that.
    """
    compiler = importlib.import_module("pycuda.compiler")
    device = CudaDevice(0)
    with device.current():
        block = device.allocate(256)
        crash = compiler.SourceModule(OUT_OF_BOUNDS).get_function("crash")
        with suppress(*device.errors):
            crash(np.uint64(block.address), block=(1, 1, 1), grid=(1, 1))
            device.wait()
            device._cuda.Context.synchronize()
    noticed = not device.answers()
    device.close(lost=noticed)
    try:
        with closing(CudaDevice(0)) as again:
            return {"noticed": noticed, "opened again": noticed and _copies_come_back(again), "reason": ""}
    except Exception as error:  # the driver's own, or BackendError
        return {"noticed": noticed, "opened again": False, "reason": cause_of(error)}


def _lost_apart() -> Any:
    """Return what `lost_context` finds in a process of its own."""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(lost_context).result()
    except Exception as error:  # it may even end with its process
        return _failure(error)


def _failure(error: Exception) -> str:
    return f"failed: {type(error).__name__}: {' '.join(str(error).split())}"
