"""Names that a user mistyped: the known one that is meant."""

import difflib
from collections.abc import Iterable

from base.text import folded, one_line

ALIKE = 0.65
"""Least likeness of two names, from 0 to 1, for one to be taken for the other mistyped."""
LONGEST = 100
"""Characters of a name that are compared."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most likely meant, if one is alike."""
    by_folded = {folded(each): each for each in known}
    alike = difflib.get_close_matches(folded(name[:LONGEST]), by_folded, n=1, cutoff=ALIKE)
    return by_folded[alike[0]] if alike else None


def near_or_all(name: str, known: Iterable[str]) -> str:
    """Return the end of an error: `did you mean film-scan?`, or all the names there are."""
    known = list(known)
    near = nearest(name, known)
    return f"did you mean {one_line(near)}?" if near else f"there are {one_line(', '.join(known))}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return an error's message: no preset 'clasic': did you mean classic?"""
    return f"no {kind} {one_line(name)!r}: {near_or_all(name, known)}"
