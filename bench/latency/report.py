"""The results of `bench latency`, as tables and figures."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import timing
from bench.latency.entries import Entry
from bench.latency.form_process import FirstResult
from bench.latency.network import Network
from bench.report import Measure, Report, Row, Table, counted, of_times, table

NO_TIME, NO_MEMORY, ONE_AT_ONCE = "no time", "no memory", "one at once"
"""The reason why a batch was not timed."""


@dataclass
class Found:
    """The measurements of one row."""

    entry: Entry
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
    network: Network,
    threads: int,
    found: Mapping[str, Found],
    not_run: Mapping[str, str],
) -> Report:
    """Compare the rows that ran, the baseline first, and list why the others did not run.

    name     of the network: its size, or the package's name
    not_run  reasons by row
    """
    rows = list(found.values())
    baseline = rows[0].times

    def speed_up(each: Found) -> str:
        ratio = timing.ratio(baseline, each.times)
        return f"{ratio.median:.2f} ({ratio.lowest:.2f}–{ratio.highest:.2f})"

    differences = [each.difference for each in rows if each.difference is not None]
    difference = max(differences) if len(differences) > 1 else None
    return Report(
        name=f"latency-{name}",
        tables=(
            table(
                f"One face through {weights} ({network.title}), {counted(threads, 'thread')}, "
                f"{counted(len(baseline), 'run')}",
                rows,
                {
                    "form": lambda each: each.entry.title,
                    "median s": lambda each: f"{timing.median(each.times):.3f}",
                    "95 % s": lambda each: f"{timing.p95(each.times):.3f}",
                    "times as fast": speed_up,
                    "dB to FP32": lambda each: _or_dash(each.psnr),
                },
            ),
            table(
                "Start and memory",
                rows,
                {
                    "form": lambda each: each.entry.title,
                    "cold start s": lambda each: f"{each.first.cold_start_s:.2f}",
                    "first call s": lambda each: f"{each.first.first_call_s:.3f}",
                    "peak MiB": lambda each: f"{each.first.peak_mib:.0f}",
                    "GPU MiB": lambda each: _or_dash(each.first.device_mib),
                },
            ),
            Table(
                "Faces per second, so many at once",
                ("form", *map(str, rows[0].throughput)),
                tuple((each.entry.title, *map(_rate, each.throughput.values())) for each in rows),
            ),
            table(
                "Backends",
                [each for each in rows if each.first.backend],
                {
                    "form": lambda each: each.entry.title,
                    "backend, and why": lambda each: each.first.backend or "",
                },
            ),
            Table("Not run", ("why", "forms"), tuple(_by_reason(not_run))),
        ),
        summary=_summary(rows, difference),
        figures={
            "weights": weights,
            "runs": len(baseline),
            "rows": [_figures(each, baseline) for each in rows],
            "not_run": dict(not_run),
            "largest_difference": difference,
        },
        measures=tuple(measure for each in rows for measure in _measures(each)),
        conditions={"layout": dict(network.sizes), "threads": threads},
        timed=True,
    )


def _summary(rows: list[Found], difference: float | None) -> str:
    first, fastest = rows[0], min(rows, key=lambda each: timing.median(each.times))
    if fastest is first:
        return f"Nothing that ran is faster than the {first.entry.title}."
    ratio = timing.ratio(first.times, fastest.times).median
    same = "" if difference is None else f"; outputs differ by at most {difference:.1e}"
    return (
        f"The {fastest.entry.title}, takes {timing.median(fastest.times):.3f} s a face and is "
        f"{ratio:.2f} times as fast as the {first.entry.title}{same}."
    )


def _by_reason(not_run: Mapping[str, str]) -> Iterable[Row]:
    for reason in dict.fromkeys(not_run.values()):
        yield reason, ", ".join(row for row, why in not_run.items() if why == reason)


def _or_dash(value: float | None) -> str:
    return "—" if value is None else f"{value:.0f}"


def _rate(rate: float | str) -> str:
    if isinstance(rate, str):
        return rate if rate in (NO_TIME, NO_MEMORY, ONE_AT_ONCE) else "failed"
    return f"{rate:.3g}"


def _figures(found: Found, baseline: list[float]) -> dict[str, Any]:
    rates = {str(batch): rate for batch, rate in found.throughput.items()}
    return {
        "form": found.entry.name,
        "title": found.entry.title,
        **timing.figures(found.times),
        "speed_up": asdict(timing.ratio(baseline, found.times)),
        "cold_start_s": found.first.cold_start_s,
        "first_call_s": found.first.first_call_s,
        "faces_per_second": {batch: rate for batch, rate in rates.items() if not isinstance(rate, str)},
        "not_timed": {batch: why for batch, why in rates.items() if isinstance(why, str)},
        "peak_memory_mib": found.first.peak_mib,
        "device_memory_mib": found.first.device_mib,
        "backend": found.first.backend,
        "psnr": found.psnr,
        "difference": found.difference,
    }


def _measures(found: Found) -> Iterable[Measure]:
    title = found.entry.title
    yield of_times(title, found.times)
    yield Measure(f"{title}: peak memory", found.first.peak_mib, "MiB")
    if found.psnr is not None:
        yield Measure(f"{title}: nearness to FP32", found.psnr, "dB", more_is_better=True)
