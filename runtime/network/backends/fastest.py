"""Find the fastest of several backends on this machine: measured once, then remembered."""

import math
import os
import time
from collections.abc import Callable, Mapping

from base.errors import BackendError, GpenEdgeError
from base.malloc import return_freed_memory
from base.text import rounded
from engines.package import Package
from engines.portrait import portraits
from runtime.network.backends.measured import Figures, Key, recall, remember
from runtime.network.backends.protocol import Backend, Batch

VARIABLE = "GPEN_EDGE_MEASURE"
"""If this is 0, nothing is measured, so that no choice depends on how busy the machine was."""
TURNS = 3
"""Passes of each backend that count, which take turns."""
PATIENCE = 20.0
"""No further turn begins after this many seconds, once one has counted."""

Ways = Mapping[str, Callable[[], Backend]]


def may_measure() -> bool:
    """Return whether `$GPEN_EDGE_MEASURE` lets backends be measured."""
    return os.environ.get(VARIABLE) != "0"


def fastest(
    ways: Ways,
    package: Package,
    key: Key,
    why: str,
    notice: Callable[[str], None] = lambda sentence: None,
    *,
    at_once: bool = True,
) -> Backend:
    """Open the backend that restores a face in the least time.

    ways     how each backend is opened, by the name that a user reads; the first is taken where others fail
    key      everything that the times depend on
    why      what led to this choice, for the backend's own `why`
    notice   called when measuring begins, which may take some seconds
    at_once  whether memory has room for all of them: their passes then take turns

    Raises GpenEdgeError if the first backend cannot be opened.
    """
    seconds = recall("fastest", key)
    if seconds is not None and seconds.keys() == ways.keys():
        backend, failed = _first_of(ways, sorted(ways, key=dict(seconds).__getitem__))
    else:
        notice(f"measuring what is faster here, {' or '.join(ways)}: this takes some seconds, but only once")
        crop = portraits(package.manifest.size)[:1]
        seconds, opened, failed = (_measured_at_once if at_once else _measured_alone)(ways, crop)
        if not failed:
            remember("fastest", key, seconds)
        best = min(seconds, key=seconds.__getitem__)
        backend = opened.pop(best) if opened else ways[best]()
        for other in opened.values():
            other.close()
    backend.why = "; ".join([*filter(None, [why, backend.why]), _in_words(seconds), *failed])
    return backend


def seconds_of(backends: Mapping[str, Backend], crop: Batch) -> dict[str, float]:
    """Return the shortest time of each started backend for one face, in seconds, measured in turns.

    crop  1×3×S×S in [−1, 1]
    """
    best, start = dict.fromkeys(backends, math.inf), time.monotonic()
    for _ in range(TURNS):
        for name, backend in backends.items():
            began = time.perf_counter()
            _pass(backend, crop)
            best[name] = min(best[name], time.perf_counter() - began)
        if time.monotonic() - start > PATIENCE:
            break
    return best


def _started(way: Callable[[], Backend], crop: Batch) -> Backend:
    """Open a backend and make its first pass, which shows whether it runs, and is slower than others."""
    backend = way()
    try:
        _pass(backend, crop)
    except BaseException:
        backend.close()
        raise
    return backend


def _pass(backend: Backend, crop: Batch) -> None:
    state = backend.encode(crop)
    backend.generate(state)
    backend.release(state)


def _measured_at_once(ways: Ways, crop: Batch) -> tuple[dict[str, float], dict[str, Backend], list[str]]:
    """Return the times of all backends that can be opened, these, and why the others cannot be."""
    opened, failed = _all_of(ways, crop)
    return seconds_of(opened, crop), opened, failed


def _measured_alone(ways: Ways, crop: Batch) -> tuple[dict[str, float], dict[str, Backend], list[str]]:
    """Return the same with one backend open at a time; none stays open."""
    seconds: dict[str, float] = {}
    failed: list[str] = []
    for i, (name, way) in enumerate(ways.items()):
        try:
            backend = _started(way, crop)
        except GpenEdgeError as error:
            if not i:
                raise
            failed.append(f"{name}: {error}")
        else:
            seconds |= seconds_of({name: backend}, crop)
            backend.close()
            return_freed_memory()
    return seconds, {}, failed


def _all_of(ways: Ways, crop: Batch) -> tuple[dict[str, Backend], list[str]]:
    """Start all that run; also return why the others do not."""
    opened: dict[str, Backend] = {}
    failed: list[str] = []
    for i, (name, way) in enumerate(ways.items()):
        try:
            opened[name] = _started(way, crop)
        except GpenEdgeError as error:
            if not i:
                raise
            failed.append(f"{name}: {error}")
    return opened, failed


def _first_of(ways: Ways, names: list[str]) -> tuple[Backend, list[str]]:
    """Open the first that can be opened; also return why those before it cannot."""
    failed: list[str] = []
    for name in names:
        try:
            return ways[name](), failed
        except GpenEdgeError as error:
            failed.append(f"{name}: {error}")
    raise BackendError("; ".join(failed))


def _in_words(seconds: Figures) -> str:
    """Return the times in words, the shortest first."""
    times = sorted(seconds.items(), key=lambda item: item[1])
    return "a face took " + ", ".join(f"{rounded(1e3 * time, 3)} ms in {name}" for name, time in times)
