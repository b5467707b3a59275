"""How long `python -m runtime.restore` takes from nothing to its first photo, and what it spends that on."""

import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from base.errors import GpenEdgeError

ROOT = Path(__file__).parents[2]
MODULES = "import runtime.restore, onnxruntime"
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")


@dataclass(frozen=True)
class Start:
    """One run of the command."""

    seconds: float
    cpu_seconds: float
    """Of all its threads: what else runs on the machine adds little to it."""


def run_command(*arguments: str | Path) -> Start:
    """Run `python -m runtime.restore` in a process of its own. Raises GpenEdgeError when it fails."""
    before, start = os.times(), time.perf_counter()
    _run("-m", "runtime.restore", *map(str, arguments))
    seconds, after = time.perf_counter() - start, os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Start(seconds, cpu)


def stages(photo: Path, output: Path, package: str) -> dict[str, float]:
    """Return the seconds of each stage of a cold start, in a process of its own."""
    done = _run("-m", "bench.endtoend.cold_start", str(time.time()), str(photo), str(output), package)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def imports() -> dict[str, float]:
    """Return the seconds that importing takes, by library, the slowest first."""
    found: dict[str, float] = defaultdict(float)
    for microseconds, module in _IMPORT.findall(_run("-X", "importtime", "-c", MODULES).stderr):
        library = module.partition(".")[0]
        standard = library in sys.stdlib_module_names
        found["the standard library" if standard else library] += 1e-6 * int(microseconds)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    # As for a user, modules are compiled once and not at every start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, cwd=ROOT, env=environment
    )
    if done.returncode:
        raise GpenEdgeError(
            f"the restoration failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        )
    return done


def _main(started: str, photo: str, output: str, package: str) -> None:
    """Do what the command does, and print the seconds of its stages."""
    marks = {"interpreter": time.time() - float(started)}
    last = time.perf_counter()

    def mark(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        marks[stage] = now - last
        last = now

    import runtime.restore  # noqa: F401

    mark("import")
    import onnxruntime  # noqa: F401

    mark("import ONNX Runtime")
    from runtime.photo.reader import read_photo
    from runtime.photo.writer import write_photo
    from runtime.restorer import Restorer

    with Restorer.open(package) as restorer:
        mark("open networks")
        read = read_photo(Path(photo))
        mark("read")
        result = restorer.restore(read.pixels)
        mark("restore")
        for stage, milliseconds in result.timings.items():
            marks[f"restore: {stage}"] = milliseconds / 1000
        last = time.perf_counter()
        from dataclasses import replace

        write_photo(Path(output), replace(read, pixels=result.photo), overwrite=True)
        mark("write")
    print(json.dumps(marks))  # noqa: T201


if __name__ == "__main__":
    _main(*sys.argv[1:])
