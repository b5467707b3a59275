"""Suggestions for mistyped names."""

import difflib
from collections.abc import Iterable

from base.text import folded, one_line

ALIKE = 0.65
"""Minimum similarity, from 0 to 1, at which a name is taken for a mistyped other."""
LONGEST = 100
"""Number of leading characters that are compared."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar; None if none is similar enough."""
    by_folded = {folded(each): each for each in known}
    alike = difflib.get_close_matches(folded(name[:LONGEST]), by_folded, n=1, cutoff=ALIKE)
    return by_folded[alike[0]] if alike else None


def near_or_all(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: `did you mean film-scan?`, or a list of all names."""
    known = list(known)
    near = nearest(name, known)
    return f"did you mean {one_line(near)}?" if near else f"there are {one_line(', '.join(known))}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return an error message such as: no preset 'clasic': did you mean classic?"""
    return f"no {kind} {one_line(name)!r}: {near_or_all(name, known)}"
