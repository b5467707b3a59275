"""A form in its own process: started, timed and measured alone, then run again in turns."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from base.errors import GpenEdgeError
from bench.latency.forms import Array, Explained, Way
from bench.memory import peak_memory, used_gpu_memory

ROOT = Path(__file__).parents[2]


class FormError(GpenEdgeError):
    """A form failed; the message says why."""


@dataclass(frozen=True)
class FirstResult:
    """The cost of a process's first restoration."""

    cold_start_s: float
    """From the start of the process."""
    first_call_s: float
    peak_mib: float
    device_mib: float | None = None
    """GPU memory that the process held afterwards; None without a GPU or its management library."""
    backend: str | None = None
    """What runs it and why, of a package."""


class FormProcess:
    """An open form."""

    first: FirstResult
    restored: Array
    """1×3×S×S, of the crop it was started with."""

    def __init__(
        self, way: Way, file: Path, crop: Path, folder: Path, threads: int, environment: Mapping[str, str]
    ) -> None:
        """Start the process and wait for its first result. Raises FormError.

        file         what it is opened from
        crop         .npy of 1×3×S×S in [−1, 1]
        folder       for what the process writes
        environment  variables that it gets besides ours
        """
        self._errors, restored = folder / "stderr.txt", folder / "restored.npy"
        command = [
            sys.executable,
            "-m",
            "bench.latency.form_process",
            json.dumps(asdict(way)),
            file,
            crop,
            restored,
            threads,
        ]
        before = used_gpu_memory()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*map(str, command), str(time.time())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
                cwd=ROOT,
                env={**os.environ, **environment},
            )
        try:
            answer = self._answer()
            after = used_gpu_memory()
            device = after - before if before is not None and after is not None else None
            self.first = FirstResult(**answer, device_mib=device)
            self.restored = np.load(restored)
        except BaseException:
            self.close()
            raise

    def seconds(self, batch: int = 1) -> float:
        """Restore so many copies of the crop at once; return how long it took. Raises FormError."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended; the missing answer shows that
            self._process.stdin.write(f"{batch}\n")
            self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return json.loads(line)
        status = self._process.wait()
        said = self._errors.read_text(errors="replace").strip().splitlines()
        raise FormError(f"it failed: {said[-1] if said else f'it ended with status {status}'}")


def _main(way: str, file: str, crop: str, restored: str, threads: str, started: str) -> None:
    """Open a form and restore a crop; then, for each line of input, restore that many at once."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print messages

    form, one = Way(**json.loads(way)).open(Path(file), int(threads)), np.load(crop)

    def timed(crops: Array) -> tuple[float, Array]:
        start = time.perf_counter()
        result = form(crops)
        return time.perf_counter() - start, result

    first, result = timed(one)
    backend = form.backend if isinstance(form, Explained) else None
    found = FirstResult(time.time() - float(started), first, peak_memory(), backend=backend)
    np.save(restored, result)
    print(
        json.dumps({name: value for name, value in asdict(found).items() if value is not None}), file=answers
    )
    for line in sys.stdin:
        print(timed(np.repeat(one, int(line), axis=0))[0], file=answers)


if __name__ == "__main__":
    _main(*sys.argv[1:])
