"""One figure of a benchmark, as two runs of it are compared."""

from dataclasses import dataclass

from bench import timing


@dataclass(frozen=True)
class Measure:
    """A named figure and between what it swung."""

    name: str
    """Told by no other measure of its report."""
    value: float
    unit: str
    """Such as `s`, `MiB`, `dB`."""
    lowest: float | None = None
    """Of the runs whose median the value is; None where there was but one."""
    highest: float | None = None
    more_is_better: bool = False


def of_times(name: str, seconds: list[float]) -> Measure:
    """Return the median of some runs' seconds, and between what they swung."""
    return Measure(name, timing.median(seconds), "s", min(seconds), max(seconds))
