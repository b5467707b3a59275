"""Whether two paths are the same file, even before it exists: through links, and regardless of case."""

import os
import unicodedata
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from pathlib import Path

from base.files import draft_beside
from base.text import folded

Folding = Callable[[str], str]
"""Maps all names that a folder considers the same to one of them."""


def exactly(name: str) -> str:
    """Return the name itself: different names are different files."""
    return name


def identities(path: Path, folding: Folding = exactly) -> frozenset[Hashable]:
    """Return identifiers of the file at `path`, which need not exist: two paths are the same file if they
    share any.

    Symbolic links are followed, also those of folders and dangling ones; hard links are the same file.

    folding  how the names of files that do not exist are compared
    """
    found: set[Hashable] = {name_identity(path, folding)}
    if number := _number(path):
        found.add(number)
    return frozenset(found)


def name_identity(path: Path, folding: Folding = exactly) -> Hashable:
    """Return what identifies the name of a file, with symbolic links followed."""
    real = Path(os.path.realpath(path))
    folder = existing_folder(real.parent)
    return _number(folder) or str(folder), folding(str(real.relative_to(folder)))


def _number(path: Path) -> tuple[int, int] | None:
    """Return the numbers by which the system identifies an existing file; None if it has none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def existing_folder(folder: Path) -> Path:
    """Return the nearest existing folder at or above this one, with links followed."""
    folder = Path(os.path.realpath(folder))
    return next((each for each in (folder, *folder.parents) if each.is_dir()), folder)


def folding_for(paths: Iterable[Path]) -> Folding:
    """Return how these names are compared; the disk is asked only if some differ only in case or accents."""
    seen: dict[str, Path] = {}
    for path in paths:
        if seen.setdefault(folded(str(path)), path) != path:
            return folding_of(existing_folder(path.parent))
    return exactly


def folding_of(folder: Path) -> Folding:
    """Find out which names a folder considers the same, by creating an empty file for a moment.

    If no file can be created, names are compared exactly: nothing can be overwritten there either.
    """
    draft = draft_beside(folder / "x", "gpen-edge-é")
    try:
        draft.touch(exist_ok=False)
        ignores_case = draft.with_name(draft.name.replace("gpen", "GPEN")).exists()
        normalises = draft.with_name(unicodedata.normalize("NFD", draft.name)).exists()
    except (OSError, UnicodeEncodeError):
        return exactly
    finally:
        with suppress(OSError, UnicodeEncodeError):
            draft.unlink(missing_ok=True)
    if ignores_case:
        return folded
    return _composed if normalises else exactly


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
