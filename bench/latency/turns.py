"""Time open forms in turns, so that a busy moment affects all of them equally, while time and memory last."""

import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from base.decibels import decibels
from bench.latency.entries import Entry
from bench.latency.form_process import FormError, FormProcess
from bench.latency.forms import Array
from bench.latency.report import NO_MEMORY, NO_TIME, ONE_AT_ONCE, Found
from bench.memory import free_memory
from bench.timing import median

SPARED = 0.7
"""Share of the free memory that one more form, or a batch, may be expected to take."""


def check_room(processes: Mapping[str, FormProcess], deadline: float) -> None:
    """Raise FormError if another form would exceed the free memory, judging by the largest so far."""
    if not processes:
        return
    if time.monotonic() > deadline:
        raise FormError("no time was left: --budget SECONDS")
    needed, free = max(process.first.peak_mib for process in processes.values()), free_memory()
    if needed > SPARED * free:
        raise FormError(f"it may take {needed:.0f} MiB of memory, and {free:.0f} MiB are free")


def first_results(processes: Mapping[str, FormProcess], rows: Mapping[str, Entry]) -> dict[str, Found]:
    """Return the measurements of each form after its first restoration."""
    found = {}
    for name, process in processes.items():
        reference = processes.get(rows[name].reference or "")
        nearness = _nearness(process.restored, reference.restored) if reference else (None, None)
        found[name] = Found(rows[name], process.first, *nearness)
    return found


def _nearness(restored: Array, expected: Array) -> tuple[float | None, float]:
    """Return the PSNR in dB, None for equal pictures, and the largest error."""
    error = restored.astype(np.float64) - expected
    mean = float(np.mean(error**2))
    return (decibels(mean, 2) if mean else None), float(np.abs(error).max())


def take_turns(
    processes: Mapping[str, FormProcess],
    found: Mapping[str, Found],
    runs: int,
    deadline: float,
    tick: Callable[[], None],
) -> dict[str, str]:
    """Time one face in every process, in turns, while a further turn fits; return which failed, and why.

    runs      turns at most; there is always one
    deadline  by `time.monotonic`
    tick      called after each run
    """
    failed: dict[str, str] = {}
    for turn in range(runs):
        start = time.monotonic()
        for name, process in processes.items():
            if name not in failed:
                try:
                    found[name].times.append(process.seconds())
                except FormError as error:
                    failed[name] = str(error)
            tick()
        end = time.monotonic()
        if turn + 1 < runs and end + (end - start) > deadline:
            break
    return failed


def take_batches(
    processes: Mapping[str, FormProcess],
    found: Mapping[str, Found],
    batches: Iterable[int],
    deadline: float,
    tick: Callable[[], None],
) -> None:
    """Time larger batches, each after a warm-up, while time and memory last.

    tick  called after each
    """
    for each in found.values():
        each.throughput[1] = 1 / median(each.times)
    for batch in sorted({*batches} - {1}):
        for name, each in found.items():
            if each.entry.one_at_once:
                each.throughput[batch] = ONE_AT_ONCE
            elif time.monotonic() + 2 * batch * median(each.times) > deadline:
                each.throughput[batch] = NO_TIME
            elif batch * each.first.peak_mib > SPARED * free_memory():
                each.throughput[batch] = NO_MEMORY
            else:
                each.throughput[batch] = _throughput(processes[name], batch)
            tick()


def _throughput(process: FormProcess, batch: int) -> float | str:
    try:
        process.seconds(batch)
        return batch / process.seconds(batch)
    except FormError as error:
        return str(error)
