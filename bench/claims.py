"""The claims that a benchmark checks, with the measured figures."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bench.report import Table, table


@dataclass(frozen=True)
class Claim:
    """A sentence with a number in it."""

    text: str
    wanted: float
    """The bound: the least or the greatest value that satisfies the claim."""
    worst: tuple[float, str] | None
    """The worst figure and where it was found; None if nothing of the kind was measured."""
    at_most: bool = False

    @property
    def holds(self) -> bool | None:
        """Return whether the claim holds; None if it was not measured."""
        if self.worst is None:
            return None
        return self.worst[0] <= self.wanted if self.at_most else self.worst[0] >= self.wanted

    @property
    def measured(self) -> str:
        """Return the worst figure as a table shows it."""
        if self.worst is None:
            return "not measured"
        value, where = self.worst
        return f"{value:.{3 if self.wanted < 1 else 2}f}" + (f" ({where})" if where else "")


def claims_table(title: str, claims: Iterable[Claim]) -> Table:
    """Return a table of claims."""
    return table(
        title,
        claims,
        {
            "claim": lambda claim: claim.text,
            "wanted": lambda claim: f"{'≤' if claim.at_most else '≥'} {claim.wanted:g}",
            "measured": lambda claim: claim.measured,
            "holds": lambda claim: {True: "yes", False: "no", None: "—"}[claim.holds],
        },
    )


def figures(claims: Iterable[Claim]) -> list[dict[str, Any]]:
    """Return claims in the form of a result file."""
    return [asdict(claim) | {"holds": claim.holds} for claim in claims]


def held(claims: Iterable[Claim]) -> str:
    """Return the number of claims that hold, out of those that were measured."""
    holds = [claim.holds for claim in claims if claim.holds is not None]
    return f"{sum(holds)} of {len(holds)} claims hold"
