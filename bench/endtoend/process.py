"""Run the command line in its own process: the time of a cold start, and the memory."""

import os
import runpy
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from base.errors import GpenEdgeError
from bench.memory import peak_memory

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class CommandRun:
    """One run of `python -m runtime.restore`."""

    seconds: float
    cpu_seconds: float
    """CPU time of all threads, which other programs on the machine hardly affect."""
    peak_mib: float


def run_command(*arguments: str | Path) -> CommandRun:
    """Run `python -m runtime.restore` in a process of its own. Raises GpenEdgeError when it fails."""
    command = [sys.executable, "-m", "bench.endtoend.process", *map(str, arguments)]
    # As on a user's machine, modules are compiled once, not at every start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, cwd=ROOT, env=environment
    )
    seconds, after = time.perf_counter() - start, os.times()
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise GpenEdgeError(f"the restoration failed: {said[-1]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return CommandRun(seconds, cpu, float(done.stdout.splitlines()[-1]))


def _main(*arguments: str) -> int:
    """Run the command in this process, then print its peak memory."""
    sys.argv = ["runtime.restore", *arguments]
    status: object = 0
    try:
        runpy.run_module("runtime.restore", run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    print(peak_memory())  # noqa: T201
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
