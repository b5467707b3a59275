"""The photos of an archive, and the names of their results."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from base.errors import PhotoError
from base.text import one_line
from runtime.archive.place import Place, name_within
from runtime.commands.same_file import folding_for
from runtime.photo.suffixes import SUPPORTED_SUFFIXES, suffix_written
from runtime.photo.writer import OUTPUT_SUFFIXES

OWN = "gpen-edge-run"
"""Name of the folder in a sink for the run's own files."""
_ADDED = re.compile(r"(\.jpg|\.png)+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Listed:
    """A photo of an archive."""

    path: str
    """Relative to the archive."""
    output: str
    """Where its result goes, relative to the sink."""
    size: int
    """Bytes."""


def list_photos(source: Place, sink: Place) -> list[Listed]:
    """Return the photos in a folder and its subfolders by name, except hidden files and results.

    Raises PhotoError if the source cannot be listed or holds no photo.
    """
    inside = name_within(source, sink)
    if inside == "":
        raise PhotoError(f"{sink.shown} is the archive itself: name another place for the results")
    if source.local is not None and not source.local.is_dir():
        what = "is a file: restore it with runtime.restore" if source.local.exists() else "does not exist"
        raise PhotoError(f"{source.shown} {what}")
    sizes = {
        name.encode("utf-8", "backslashreplace").decode(): size
        for name, size in source.files()
        if _is_photo(name) and not (inside and name.startswith(f"{inside}/"))
    }
    if not sizes:
        raise PhotoError(f"{source.shown} holds no photo: name another folder")
    return [Listed(name, output_of(name), sizes[name]) for name in sorted(sizes)]


def check_names(photos: Sequence[Listed], sink: Place) -> None:
    """Raise PhotoError if two results would be one file in a sink that ignores case, or does not tell
    composed accents from decomposed ones; object stores do neither.

    If names differ only in those, the sink is asked by creating an empty file for a moment.
    """
    if sink.local is None:
        return
    folding, seen = folding_for(sink.local / photo.output for photo in photos), dict[str, Listed]()
    for photo in photos:
        if (other := seen.setdefault(folding(photo.output), photo)) is not photo:
            raise PhotoError(
                f"the results of {one_line(other.path)} and {one_line(photo.path)} would be one file in "
                f"{sink.shown}, for which their names are the same: name another place"
            )


def output_of(name: str) -> str:
    """Return the name of a photo's result: its own, or with the suffix of a format that can be written added.

    `scan.heic` becomes `scan.heic.jpg`. A photo of that name gets its suffix once more, so that no two
    results have the same name, whatever photos arrive later.
    """
    first = PurePosixPath(_ADDED.sub("", name)).suffix.lower()
    if first not in SUPPORTED_SUFFIXES - OUTPUT_SUFFIXES:
        return name
    own = PurePosixPath(name).suffix
    return name + (own if own.lower() in OUTPUT_SUFFIXES else suffix_written(first))


def sample_of(photos: Sequence[Listed], count: int) -> list[Listed]:
    """Return a sample that is spread evenly over the list sorted by size, since the time of a photo depends
    on its size."""
    count = min(count, len(photos))
    by_size = sorted(photos, key=lambda photo: (photo.size, photo.path))
    return [by_size[int((i + 0.5) * len(by_size) / count)] for i in range(count)]


def _is_photo(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUPPORTED_SUFFIXES and not any(part.startswith(".") for part in path.parts)
