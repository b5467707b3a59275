"""Run a module as a program and print its peak memory: `python -m bench.endtoend.peak MODULE …`."""

import runpy
import subprocess
import sys
from pathlib import Path

from base.errors import GpenEdgeError
from bench.latency.forms import peak_memory

ROOT = Path(__file__).parents[2]


def peak_of(module: str, *arguments: str | Path) -> float:
    """Return the peak of a module's process, in MiB. Raises GpenEdgeError when it fails."""
    command = [sys.executable, "-m", "bench.endtoend.peak", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, cwd=ROOT)
    if done.returncode:
        raise GpenEdgeError(f"{module} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return float(done.stdout.splitlines()[-1])


def _main(module: str, *arguments: str) -> int:
    sys.argv = [module, *arguments]
    status: object = 0
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    print(peak_memory())  # noqa: T201
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
