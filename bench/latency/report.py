"""What `bench latency` found, as tables and figures."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import timing
from bench.latency.form_process import FirstResult
from bench.measure import Measure, of_times
from bench.report import Report, Row, Table
from export.gpen.layout import Layout

NO_TIME, NO_MEMORY, ONE_AT_ONCE = "no time", "no memory", "one at once"
"""Why a batch was not timed."""


@dataclass
class Found:
    """What was measured of one row."""

    first: FirstResult
    psnr: float | None
    """Of the first result against FP32, dB; None where both are equal, or there is no FP32."""
    difference: float | None
    """The largest, likewise; pictures are in [−1, 1]."""
    times: list[float] = field(default_factory=list)
    """Seconds of one face."""
    throughput: dict[int, float | str] = field(default_factory=dict)
    """Faces per second by batch, or why there are none."""


def latency_report(
    *,
    name: str,
    weights: str,
    layout: Layout,
    threads: int,
    titles: Mapping[str, str],
    found: Mapping[str, Found],
    not_run: Mapping[str, str],
) -> Report:
    """Set the rows that ran, the baseline first, and those that did not, side by side.

    name    of the network: its size, or the package's name
    titles  of all rows, in their order
    """
    first = next(iter(found))
    baseline, batches = found[first].times, found[first].throughput
    fastest = min(found, key=lambda row: timing.median(found[row].times))
    differences = [each.difference for each in found.values() if each.difference is not None]
    difference = max(differences) if len(differences) > 1 else None
    return Report(
        name=f"latency-{name}",
        title=f"One face through GPEN-{layout.size}, {threads} threads, {len(baseline)} runs",
        headings=("form", "median s", "95 % s", "times as fast", "dB to FP32"),
        rows=tuple(_row(titles[row], each, baseline) for row, each in found.items()),
        summary=_summary(titles[first], titles[fastest], baseline, found[fastest].times, difference),
        figures={
            "layout": asdict(layout),
            "weights": weights,
            "threads": threads,
            "runs": len(baseline),
            "rows": [
                {"form": row, "title": titles[row], **_figures(each, baseline)} for row, each in found.items()
            ],
            "not_run": dict(not_run),
            "largest_difference": difference,
        },
        more=(
            Table(
                "Start and memory",
                ("form", "cold start s", "first call s", "peak MiB", "GPU MiB"),
                tuple(_start_row(titles[row], each.first) for row, each in found.items()),
            ),
            Table(
                "Faces per second, so many at once",
                ("form", *map(str, batches)),
                tuple((titles[row], *map(_rate, each.throughput.values())) for row, each in found.items()),
            ),
            Table(
                "Not run",
                ("form", "why"),
                tuple((title, not_run[row]) for row, title in titles.items() if row in not_run),
            ),
        ),
        measures=tuple(measure for row, each in found.items() for measure in _measures(titles[row], each)),
        conditions={"layout": asdict(layout), "threads": threads},
    )


def _summary(
    baseline_title: str,
    title: str,
    baseline: list[float],
    times: list[float],
    difference: float | None,
) -> str:
    if title == baseline_title:
        return f"Nothing that ran is faster than the {title}."
    ratio = timing.ratio(baseline, times).median
    same = "" if difference is None else f"; outputs differ by at most {difference:.1e}"
    return f"The {title}, is {ratio:.2f} times as fast as the {baseline_title}{same}."


def _row(title: str, found: Found, baseline: list[float]) -> Row:
    ratio = timing.ratio(baseline, found.times)
    return (
        title,
        f"{timing.median(found.times):.3f}",
        f"{timing.p95(found.times):.3f}",
        f"{ratio.median:.2f} ({ratio.lowest:.2f}–{ratio.highest:.2f})",
        _told(found.psnr, ".0f"),
    )


def _start_row(title: str, first: FirstResult) -> Row:
    return (
        title,
        f"{first.cold_start_s:.2f}",
        f"{first.first_call_s:.3f}",
        f"{first.peak_mib:.0f}",
        _told(first.device_mib, ".0f"),
    )


def _told(value: float | None, digits: str) -> str:
    return "—" if value is None else format(value, digits)


def _rate(rate: float | str) -> str:
    if isinstance(rate, str):
        return rate if rate in (NO_TIME, NO_MEMORY, ONE_AT_ONCE) else "failed"
    return f"{rate:.3g}"


def _figures(found: Found, baseline: list[float]) -> dict[str, Any]:
    rates = {str(batch): rate for batch, rate in found.throughput.items()}
    return {
        "median_s": timing.median(found.times),
        "p95_s": timing.p95(found.times),
        "times_s": found.times,
        "speed_up": asdict(timing.ratio(baseline, found.times)),
        "cold_start_s": found.first.cold_start_s,
        "first_call_s": found.first.first_call_s,
        "faces_per_second": {batch: rate for batch, rate in rates.items() if not isinstance(rate, str)},
        "not_timed": {batch: why for batch, why in rates.items() if isinstance(why, str)},
        "peak_memory_mib": found.first.peak_mib,
        "device_memory_mib": found.first.device_mib,
        "psnr": found.psnr,
        "difference": found.difference,
    }


def _measures(title: str, found: Found) -> Iterable[Measure]:
    yield of_times(title, found.times)
    yield Measure(f"{title}: peak memory", found.first.peak_mib, "MiB")
    if found.psnr is not None:
        yield Measure(f"{title}: nearness to FP32", found.psnr, "dB", more_is_better=True)
