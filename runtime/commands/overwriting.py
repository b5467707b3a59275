"""Protects existing files: everything that a run reads and writes is compared before any work is done."""

import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from base.errors import PhotoError
from base.text import one_line
from runtime.commands.same_file import folding_for, identities, name_identity


@dataclass(frozen=True)
class Source:
    """A file that is read."""

    path: Path
    what: str = "the photo"


@dataclass(frozen=True)
class Target:
    """A file that is going to be written."""

    path: Path
    what: str = "the output"
    own: Path | None = None
    """The photo whose result it is, which it may replace with --overwrite."""
    kept: bool = False
    """An existing file is left as it is, or only added to."""


def check_targets(
    sources: Iterable[Source], targets: Sequence[Target], *, overwrite: bool, resumable: bool = False
) -> None:
    """Raise PhotoError if two results have the same file, or a file that is read or exists would be replaced.

    Links are followed, and names are compared as the file system does.

    overwrite  existing files may be replaced, and a photo by its own result
    resumable  the error suggests to resume an earlier run
    """
    read: dict[Hashable, list[Source]] = {}
    for source in sources:
        for identity in identities(source.path):
            read.setdefault(identity, []).append(source)
    folding = folding_for(Path(os.path.realpath(target.path)) for target in targets)
    folders = {name_identity(target.path.parent, folding) for target in targets}
    written: dict[Hashable, Target] = {}
    for target in targets:
        name, found = name_identity(target.path, folding), identities(target.path, folding)
        _check_source(target, [source for each in found for source in read.get(each, ())], overwrite)
        if name in folders and not target.path.is_dir():
            raise PhotoError(f"{_named(target)} would also have to be a folder: name another file")
        if target.kept:  # hard links do no harm if nothing is written
            found = frozenset([name])
        if other := next((written[each] for each in found if each in written), None):
            raise PhotoError(
                f"{target.what} and {other.what} would be one file, {one_line(target.path)}: "
                "give them different names"
            )
        written |= dict.fromkeys(found, target)
    if not overwrite:
        _check_free(targets, resumable=resumable)


def check_new(path: Path, what: str = "the output") -> None:
    """Raise PhotoError if a file exists that must not be replaced."""
    if _exists(path):
        raise PhotoError(f"{what} {one_line(path)} exists: name another file, or allow it with --overwrite")


def _check_source(target: Target, sources: Sequence[Source], overwrite: bool) -> None:
    for source in sources:
        if target.own is None or source.path != target.own:
            same = os.path.abspath(source.path) == os.path.abspath(target.path)  # noqa: PTH100
            what = source.what + (" itself" if same else f" {one_line(source.path)} under another name")
            raise PhotoError(f"{_named(target)} is {what}: name another file")
        if not overwrite:
            raise PhotoError(
                f"{_named(target)} is the photo itself: name another file, or allow it with --overwrite"
            )


def _check_free(targets: Sequence[Target], *, resumable: bool) -> None:
    taken = [target for target in targets if not target.kept and _exists(target.path)]
    if not taken:
        return
    if not resumable:
        check_new(taken[0].path, taken[0].what)
    more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
    raise PhotoError(
        f"{_named(taken[0])} exists{more}: continue an earlier run with --resume, name another place, "
        "or allow it with --overwrite"
    )


def _named(target: Target) -> str:
    return f"{target.what} {one_line(target.path)}"


def _exists(path: Path) -> bool:
    return os.path.lexists(os.path.realpath(path))
