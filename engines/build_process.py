"""Build an engine in a child process, and talk to it over a pipe.

A separate process can be interrupted at once, even while TensorRT does not respond for a minute. If it
crashes or runs out of memory, the caller gets an error instead of dying with it. Its memory and CUDA context
are freed when it ends, and it ends when its parent does.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from base.errors import EngineError, GpenEdgeError
from engines.construction import BuildRequest, Built, construct

_ROOT = Path(__file__).resolve().parent.parent
_OFTEN = 0.1
"""Seconds between two progress reports of the same phase."""


@dataclass(frozen=True, kw_only=True)
class _Message:
    phase: str | None = None
    share: float = 0.0
    built: Built | None = None
    error: str | None = None


def build_apart(request: BuildRequest, report: Callable[[str, float], None]) -> Built:
    """Build an engine in a child process.

    report   called with the current phase and the share of the build that is done, 0 … 1

    Raises EngineError if TensorRT refuses the request, or the process crashes or is killed.
    """
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(
            [sys.executable, "-m", "engines.build_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if request.verbose else noise,
            env=_environment(request.device),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            last = _converse(process.stdin, process.stdout, request, report)
            if last == _Message():
                process.wait()
        finally:
            process.kill()  # it has answered; only cleaning up is left
            process.wait()
            with suppress(BrokenPipeError):  # closing flushes what the killed process did not read
                process.stdin.close()
            process.stdout.close()
        if last.built is not None:
            return last.built
        if last.error is not None:
            raise EngineError(last.error)
        raise EngineError(f"the build process ended without a result ({_cause(process.returncode, noise)})")


def _converse(
    requests: IO[bytes], answers: IO[bytes], request: BuildRequest, report: Callable[[str, float], None]
) -> _Message:
    try:
        requests.write(msgspec.json.encode(request) + b"\n")
        requests.flush()  # left open: its end tells the child process that the parent is gone
    except BrokenPipeError:
        return _Message()
    for line in answers:
        message = msgspec.json.decode(line, type=_Message)
        if message.phase is None:
            return message
        report(message.phase, message.share)
    return _Message()


def _environment(device: int) -> dict[str, str]:
    environment = dict(os.environ)
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *([path] if path else [])])
    visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if device:
        environment["CUDA_VISIBLE_DEVICES"] = visible[device] if device < len(visible) else str(device)
    return environment


def _cause(status: int, noise: IO[bytes]) -> str:
    if status == -9:
        return "killed: the machine may be short of memory; a smaller --max-batch or --workspace may help"
    noise.seek(0)
    lines = [line for line in noise.read().decode(errors="replace").splitlines() if line.strip()]
    last = f": {lines[-1].strip()}" if lines else ""
    return f"signal {-status}{last}" if status < 0 else f"status {status}{last}"


def main() -> int:
    """Answer one request from standard input; TensorRT's own output goes to standard error."""
    # An interrupt is for the parent, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=BuildRequest)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()
    told_at, told_phase = 0.0, ""

    def send(message: _Message) -> None:
        answers.write(msgspec.json.encode(message) + b"\n")
        answers.flush()

    def report(phase: str, share: float) -> None:
        nonlocal told_at, told_phase
        with lock:
            if phase != told_phase or time.monotonic() - told_at >= _OFTEN:
                told_at, told_phase = time.monotonic(), phase
                send(_Message(phase=phase, share=share))

    def print_line(line: str) -> None:
        print(line, file=sys.stderr)  # noqa: T201

    try:
        built = construct(request, report, print_line if request.verbose else None)
    except GpenEdgeError as error:
        send(_Message(error=str(error)))
        return 0
    except OSError as error:
        send(_Message(error=f"cannot write {error.filename or 'the engine'}: {error.strerror or error}"))
        return 0
    send(_Message(built=built))
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
