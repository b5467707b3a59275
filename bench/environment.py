"""What a measurement was made on."""

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

PACKAGES = ("torch", "onnxruntime", "openvino", "numpy", "opencv-python-headless")


PRODUCT = 1024
"""Rows and columns of the matrices whose product shows how much of the machine is free."""


@dataclass(frozen=True)
class Moment:
    """How busy the machine was."""

    load: float | None
    """Processes that wanted a core, over the last minute; None where the system does not tell."""
    gflops: float
    """Of an FP32 matrix product on all cores, the median of five."""


@dataclass(frozen=True)
class Environment:
    """The machine, the versions and the moment."""

    cpu: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    commit: str
    """Abbreviated; "+" after it when the working tree differs."""
    date: str
    """UTC, to the minute."""
    before: Moment | None
    """The machine before the measurement."""
    after: Moment


def environment(before: Moment | None = None) -> Environment:
    """Look at the machine that this runs on.

    before  what `moment` returned before the measurement
    """
    return Environment(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=platform.platform(terse=True),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        commit=_git("describe", "--always", "--dirty=+", "--exclude=*") or "unknown",
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"),
        before=before,
        after=moment(),
    )


def moment() -> Moment:
    """Look at how busy the machine is."""
    matrix = np.ones((PRODUCT, PRODUCT), np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Moment(load, 2e-9 * PRODUCT**3 / float(np.median(seconds)))


def told(environment: Environment) -> str:
    """Say an environment in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return (
        f"{environment.cpu}, {environment.cores} cores, {environment.system}; "
        f"Python {environment.python}, {versions}; commit {environment.commit}; {environment.date} UTC; "
        f"{_busyness(environment)}"
    )


def _busyness(environment: Environment) -> str:
    """Say how busy the machine was: what runs beside a measurement makes its times longer."""
    moments = [moment for moment in (environment.before, environment.after) if moment]
    loads = [f"{moment.load:.1f}" for moment in moments if moment.load is not None]
    load = f"load average {' → '.join(loads)}, " if loads else ""
    return f"{load}a matrix product at {' → '.join(f'{moment.gflops:.0f}' for moment in moments)} GFLOP/s"


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = (
        line.partition(":")[2].strip()
        for line in lines
        if line.lower().startswith(("model name", "cpu model"))
    )
    return next(names, platform.processor() or platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()
