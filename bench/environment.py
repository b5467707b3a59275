"""The machine on which a measurement was made."""

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from base.parallel import cores

PACKAGES = ("torch", "onnxruntime", "openvino", "numpy", "opencv-python-headless")


BUSY = 0.15
"""Share of the machine that other programs may use before times are no longer to be trusted."""
SLOWED = 0.7
"""Share of its speed that a matrix product must keep during a measurement."""
PRODUCT = 1024
"""Rows and columns of the matrices whose product shows how much of the machine is free."""


@dataclass(frozen=True)
class Moment:
    """How busy the machine was."""

    load: float | None
    """Average number of runnable processes over the last minute; None if the system does not report it."""
    gflops: float
    """Of an FP32 matrix product on all cores, the median of five."""
    clock: float
    """Seconds on the clock."""
    own: float
    """Processor seconds that this program and its finished children have used."""
    all: float | None
    """Processor seconds that all programs have used; None if the system does not report them."""


@dataclass(frozen=True)
class Environment:
    """The machine, the versions and the moment."""

    cpu: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    commit: str
    """Abbreviated; followed by "+" if the working tree differs."""
    date: str
    """UTC, to the minute."""
    before: Moment
    """The machine before the measurement."""
    after: Moment

    @property
    def others(self) -> float | None:
        """Return how many cores other programs used during the measurement; None if the system does not
        report it."""
        if self.before.all is None or self.after.all is None:
            return None
        everything, own = self.after.all - self.before.all, self.after.own - self.before.own
        return max(0.0, (everything - own) / max(self.after.clock - self.before.clock, 1e-3))

    @property
    def busy(self) -> bool:
        """Return whether other programs used so much of the machine that the times are unreliable."""
        taken = self.before.load if self.others is None else self.others
        slowed = self.after.gflops < SLOWED * self.before.gflops
        return slowed or (taken or 0) > BUSY * (os.cpu_count() or 1)


def environment(before: Moment) -> Environment:
    """Describe this machine.

    before  the result of `moment` before the measurement
    """
    return Environment(
        cpu=_cpu(),
        cores=cores(),
        system=platform.platform(terse=True),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        commit=_git("describe", "--always", "--dirty=+", "--exclude=*") or "unknown",
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"),
        before=before,
        after=moment(),
    )


def moment() -> Moment:
    """Measure how busy the machine is."""
    clock, own, everything = time.monotonic(), sum(os.times()[:4]), _used_by_all()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    matrix = np.ones((PRODUCT, PRODUCT), np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return Moment(load, 2e-9 * PRODUCT**3 / float(np.median(seconds)), clock, own, everything)


def _used_by_all() -> float | None:
    """Return the processor seconds of all programs since the start of the machine; Linux only."""
    try:
        first, *_ = Path("/proc/stat").read_text().splitlines()
        user, nice, system, _idle, _waiting, *rest = map(int, first.split()[1:])
        return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None


def described(environment: Environment) -> str:
    """Return the environment in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return (
        f"{environment.cpu}, {environment.cores} cores, {environment.system}; "
        f"Python {environment.python}, {versions}; commit {environment.commit}; {environment.date} UTC; "
        f"{busyness(environment)}"
    )


def busyness(environment: Environment) -> str:
    """Return in a sentence how busy the machine was, since other programs lengthen the measured times."""
    moments = (environment.before, environment.after)
    loads = [f"{moment.load:.1f}" for moment in moments if moment.load is not None]
    parts = [f"load average {' → '.join(loads)}"] if loads else []
    if environment.others is not None:
        parts.insert(0, f"other programs used {environment.others:.1f} cores")
    product = " → ".join(f"{moment.gflops:.0f}" for moment in moments)
    return ", ".join([*parts, f"a matrix product at {product} GFLOP/s"])


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
