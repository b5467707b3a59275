"""The summary of a run of several photos: how it ended, and which results a person should look at."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from base.text import one_line
from runtime.commands.report import Entry, Outcome

_MOST_NAMED = 20
"""Most photos named on the screen; the report names all."""

_WORDS: dict[Outcome, str] = {
    "restored-earlier": "restored before",
    "restored": "restored",
    "no-face": "without a face",
    "left-alone": "with no face to restore",
    "failed": "failed",
}


@dataclass(frozen=True)
class Ending:
    """What became of one photo."""

    name: str
    outcome: Outcome
    look_at: tuple[str, ...] = ()
    """Codes of the warnings for which a person should look at the result."""


def ending_of(name: str, entry: Entry) -> Ending:
    """Return the ending that an entry of a report describes, also one written by an older version."""
    outcome: Outcome = "failed" if "error" in entry else ("restored" if entry.get("faces") else "no-face")
    outcome = next((known for known in _WORDS if known == entry.get("outcome")), outcome)
    return Ending(name, outcome, tuple(map(str, entry.get("look_at", ()))))


def counts(endings: Iterable[Ending], planned: int) -> dict[str, int]:
    """Return the number of photos with each outcome, for programs; `planned` is the number of all photos."""
    endings = list(endings)
    by_outcome = Counter(ending.outcome for ending in endings)
    return {
        "photos": planned,
        **{outcome.replace("-", "_"): by_outcome[outcome] for outcome in _WORDS},
        "not_yet": planned - len(endings),
        "to_look_at": sum(bool(ending.look_at) for ending in endings),
    }


def summary_lines(endings: Sequence[Ending], planned: int) -> list[str]:
    """Return `21 photos: 17 restored, 3 without a face, 1 failed, 3 to look at`, and which these 3 are."""
    counted = counts(endings, planned)
    parts = [(counted[outcome.replace("-", "_")], word) for outcome, word in _WORDS.items()]
    parts += [(counted["not_yet"], "not yet done"), (counted["to_look_at"], "to look at")]
    said = ", ".join(f"{number} {word}" for number, word in parts if number)
    lines = [f"{planned} photos: {said}"]
    worth = [ending for ending in endings if ending.look_at]
    lines += [f"look at {one_line(each.name)}: {', '.join(each.look_at)}" for each in worth[:_MOST_NAMED]]
    if len(worth) > _MOST_NAMED:
        lines.append(f"look at {len(worth) - _MOST_NAMED} more, which --report names")
    return lines
