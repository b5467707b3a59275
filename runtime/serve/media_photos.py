"""The photos on a medium."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

from runtime.photo.suffixes import SUPPORTED_SUFFIXES

Identity = tuple[int, int]

_DEEPEST = 6
_TAIL = 4096
"""Bytes at the end of a file that are searched for the mark of its end."""


@dataclass(frozen=True)
class Photo:
    """A photo on a medium."""

    path: Path
    modified: float
    changed: float
    """When it was written or renamed; to rename a folder above does not count."""
    identity: Identity
    """Identifies a version of the file, also if it is renamed: another one when the file is written again."""


def identity_of(about: os.stat_result) -> Identity:
    """Return what identifies a version of a file: not its number, which some network drives do not keep."""
    return about.st_size, about.st_mtime_ns


def is_whole(photo: Photo) -> bool:
    """Return whether a file certainly has its end, so that its scanner has written all of it."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with os.fdopen(os.open(photo.path, flags), "rb") as file:
            if identity_of(os.fstat(file.fileno())) != photo.identity:
                return False
            size, head = photo.identity[0], file.read(8)
            file.seek(max(0, size - _TAIL))
            tail = file.read(_TAIL)
    except OSError:
        return False
    if head.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in tail
    if head.startswith(b"\x89PNG"):
        return b"IEND" in tail
    if head.startswith(b"BM"):
        return int.from_bytes(head[2:6], "little") <= size
    if head[:4] in (b"II*\0", b"MM\0*"):  # the list of its parts is written last, and entered here
        return 0 < int.from_bytes(head[4:8], "little" if head.startswith(b"I") else "big") < size
    return False


def photos_in(
    top: Path,
    most: float = inf,
    seconds: float = inf,
    failed: Callable[[OSError], None] = lambda error: None,
    listed: Callable[[Path], None] = lambda folder: None,
) -> Iterator[Photo]:
    """Yield the photos in a folder and its subfolders; links are not followed.

    most     photos at most
    seconds  time for the search
    failed   called for each folder and file that exists, but cannot be examined
    listed   called for each folder before the photos in it
    """

    def report(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            failed(error)

    ends, count, deepest = time.monotonic() + seconds, 0, len(top.parts) + _DEEPEST
    for place, folders, names in os.walk(top, onerror=report):
        listed(Path(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(Path(place).parts) >= deepest:
            folders.clear()
        for name in names:
            if name.startswith(".") or Path(name).suffix.lower() not in SUPPORTED_SUFFIXES:
                continue
            try:
                about = Path(place, name).lstat()
            except OSError as error:
                report(error)
            else:
                if stat.S_ISREG(about.st_mode):
                    count += 1
                    yield Photo(Path(place, name), about.st_mtime, about.st_ctime, identity_of(about))
            if count >= most or time.monotonic() > ends:
                return
