"""What a measurement was made on."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "onnxruntime", "numpy", "opencv-python-headless")


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


def environment() -> Environment:
    """Look at the machine that this runs on."""
    return Environment(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=platform.platform(terse=True),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        commit=_git("describe", "--always", "--dirty=+", "--exclude=*") or "unknown",
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"),
    )


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
            ["git", "-C", str(Path(__file__).parent), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip()
