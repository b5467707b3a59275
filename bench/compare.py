"""Compare two results of a benchmark."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from base import command_line, setting
from base.errors import GpenEdgeError
from base.setting import Range, option
from base.text import cause_of, one_line
from bench.report import Measure, Row, Table, show

GOT_WORSE = 1
"""Exit status of a comparison in which a figure got worse."""
SMALL = 1e-12
MOST_DB = 1000.0


@dataclass(frozen=True)
class Result:
    """The parts of a result file that are compared."""

    benchmark: str
    measures: tuple[Measure, ...] = ()
    conditions: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One figure, before and after."""

    old: Measure
    new: Measure

    @property
    def worsening(self) -> float:
        """Return how many times as bad the new figure is; above 1 is worse.

        Decibels are compared as the errors they represent, other units directly.
        """
        old, new = self.old.value, self.new.value
        if self.old.unit == "dB":
            ratio = 10 ** (min(max(new - old, -MOST_DB), MOST_DB) / 20)
        else:
            ratio = max(new, SMALL) / max(old, SMALL)
        return 1 / ratio if self.new.more_is_better else ratio

    @property
    def beyond_spread(self) -> bool:
        """Return whether the runs of one side all lie above, or all below, those of the other."""
        return _lowest(self.new) > _highest(self.old) or _highest(self.new) < _lowest(self.old)

    def verdict(self, threshold: float) -> str:
        """Return `worse`, `better` or `same`: moved beyond the spread, and by more than a share."""
        if not self.beyond_spread or max(self.worsening, 1 / self.worsening) <= 1 + threshold:
            return "same"
        return "worse" if self.worsening > 1 else "better"


def compare(old: Path, new: Path, threshold: float) -> tuple[Table, str, bool]:
    """Compare two result files; return the changes, the finding, and whether something got worse.

    threshold  share by which a figure may move

    Raises GpenEdgeError if a file is not a result, or the two are not of the same benchmark under the same
    conditions.
    """
    before, after = read(old), read(new)
    _check_together(before, after, old, new)
    known = {measure.name: measure for measure in before.measures}
    changes = [Change(known[measure.name], measure) for measure in after.measures if measure.name in known]
    if not changes:
        raise GpenEdgeError(
            f"{_name(old)} and {_name(new)} have no figure in common: run {after.benchmark} again"
        )
    verdicts = [change.verdict(threshold) for change in changes]
    shared = {change.new.name for change in changes}
    rows = [_row(change, verdict) for change, verdict in zip(changes, verdicts, strict=True)]
    rows += [_alone(m, "only in the old") for m in before.measures if m.name not in shared]
    rows += [_alone(m, "only in the new") for m in after.measures if m.name not in shared]
    counts = {verdict: verdicts.count(verdict) for verdict in ("worse", "better", "same")}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    title = f"{after.benchmark}: {_when(before)} → {_when(after)}"
    table = Table(title, ("figure", "old", "new", "new / old", "verdict"), tuple(rows))
    finding = f"{summary}, by more than {threshold:.0%} and the runs' spread.{_doubts(before, after)}"
    return table, finding, "worse" in verdicts


def read(path: Path) -> Result:
    """Read a result file. Raises GpenEdgeError if it is not one."""
    try:
        result = msgspec.json.decode(path.read_bytes(), type=Result)
    except OSError as error:
        raise GpenEdgeError(f"cannot read {_name(path)}: {cause_of(error)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GpenEdgeError(
            f"{_name(path)} is not a result of python -m bench ({cause_of(error)}): name a file it wrote"
        ) from error
    if not result.measures:
        raise GpenEdgeError(
            f"{_name(path)} has no figures to compare, as an older version wrote it: measure again"
        )
    return result


def _check_together(before: Result, after: Result, old: Path, new: Path) -> None:
    if before.benchmark != after.benchmark:
        raise GpenEdgeError(
            f"{_name(old)} is of {one_line(before.benchmark)}, {_name(new)} of {one_line(after.benchmark)}: "
            "compare two results of one benchmark"
        )
    for name in {**before.conditions, **after.conditions}:
        a, b = before.conditions.get(name), after.conditions.get(name)
        if a != b:
            raise GpenEdgeError(
                f"{_name(old)} was measured with {one_line(name)} {one_line(str(a))}, "
                f"{_name(new)} with {one_line(str(b))}: measure both alike"
            )


def _doubts(before: Result, after: Result) -> str:
    """Return reasons why a change may not be due to the program."""
    old, new = before.environment, after.environment
    differ = [name for name in ("cpu", "cores") if old.get(name) != new.get(name)]
    doubts = [f"Measured on different machines ({' and '.join(differ)} differ)."] if differ else []
    doubts += [
        f"The machine was busy during the {which} measurement."
        for which, result in (("old", old), ("new", new))
        if result.get("busy")
    ]
    return "".join(f" {doubt}" for doubt in doubts)


def _when(result: Result) -> str:
    return one_line(f"{result.environment.get('commit', '?')}, {result.environment.get('date', '?')}")


def _row(change: Change, verdict: str) -> Row:
    old, new = change.old, change.new
    if old.unit == "dB":
        moved = f"{new.value - old.value:+.2f} dB"
    else:
        moved = f"{max(new.value, SMALL) / max(old.value, SMALL):.3f}"
    return one_line(new.name), _shown(old), _shown(new), moved, verdict


def _alone(measure: Measure, where: str) -> Row:
    cells = (_shown(measure), "—") if where.endswith("old") else ("—", _shown(measure))
    return one_line(measure.name), *cells, "—", where


def _shown(measure: Measure) -> str:
    if measure.lowest is None or measure.highest is None:
        return f"{measure.value:.4g} {one_line(measure.unit)}"
    return f"{measure.value:.4g} ({measure.lowest:.4g}–{measure.highest:.4g}) {one_line(measure.unit)}"


def _lowest(measure: Measure) -> float:
    return measure.value if measure.lowest is None else measure.lowest


def _highest(measure: Measure) -> float:
    return measure.value if measure.highest is None else measure.highest


def _name(path: Path) -> str:
    return one_line(path)


@dataclass(frozen=True)
class CompareSettings:
    """Which results are compared."""

    old: Path = option(None, "The result before.", "OLD.json", nargs=None)
    new: Path = option(None, "The result after.", "NEW.json", nargs=None)
    threshold: float = option(
        0.05,
        "Share by which a figure may get worse. If one gets worse by more than that and by more than the "
        "runs' spread, the exit status is 1.",
        range=Range(0, 1000),
        metavar="SHARE",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    setting.add_options(parser, CompareSettings)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    table, finding, worse = compare(options.old, options.new, options.threshold)
    show((table,), finding)
    return GOT_WORSE if worse else command_line.DONE
