"""Restore photos of an archive, one after the other, with a restorer that stays open."""

import errno
import hashlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

import cv2

from base.errors import DeviceLostError, PhotoError
from base.text import cause_of, one_line, rounded
from runtime.archive.listing import OWN, Listed
from runtime.archive.place import Place, without_secrets
from runtime.archive.status import Row, in_columns
from runtime.commands.failure_cause import Cause, cause_behind, lost_device
from runtime.commands.failure_cause import Stage as FailedStage
from runtime.commands.options import RunOptions, open_restorer
from runtime.commands.output_names import keeps_name
from runtime.commands.pipeline import pipelined
from runtime.commands.remarks import file_remarks
from runtime.commands.report import describe_faces
from runtime.commands.restored_photo import check_size
from runtime.photo.original import OriginalBytes
from runtime.photo.reader import Photo, largest_file, read_photo
from runtime.photo.writer import encode_as
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.timing import timed
from runtime.warm_restorer import WarmRestorer
from runtime.whole_photo import restore_photo

Done = TypeVar("Done")

MOST_CRASHES = 5
"""A photo is given up after the process has crashed this many times while restoring it."""
_AGAIN = (0.5, 2.0)
"""Seconds to wait before reading or writing a file again after the network or the disk has failed."""
_LASTING = {
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ENAMETOOLONG),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
}
"""Errors that waiting does not change."""


@dataclass(frozen=True)
class Work:
    """The work to do for each photo."""

    source: Place
    sink: Place
    options: RunOptions
    max_megapixels: float = 100
    accept_damaged: bool = False
    strip_metadata: bool = False
    writes: bool = True
    """Whether results are written; otherwise they are only encoded, to measure how long that takes."""


class Tally(Protocol):
    """Follows a run; it outlives the processes that restore photos."""

    def crashes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how many times the process crashed during each of these photos; those without a crash are
        left out."""

    def begin(self, path: str) -> None:
        """Note that a photo is begun."""

    def end(self, row: Row) -> None:
        """Note what became of a photo."""


class NoTally:
    """Follows nothing."""

    def crashes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return none."""
        return {}

    def begin(self, path: str) -> None:
        """Do nothing."""

    def end(self, row: Row) -> None:
        """Do nothing."""


@dataclass(frozen=True, eq=False)
class _Read:
    photo: Photo
    sha256: str
    size: int
    timings: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Restored:
    read: _Read
    photo: Photo
    result: RestoreResult


class _StageError(Exception):
    def __init__(self, stage: FailedStage, read: "_Read | None" = None) -> None:
        super().__init__(stage)
        self.stage, self.read = stage, read


class Worker:
    """Restores photos; its networks are open."""

    def __init__(self, work: Work, tally: Tally | None = None) -> None:
        """Open the networks and run them once. Raises GpenEdgeError, DeviceLostError too.

        The options' `threads` also limit all other computation in this process.
        """
        self._work, self._tally = work, tally or NoTally()
        cv2.setNumThreads(max(1, work.options.threads or 1))
        self._device = ""
        self._restorer = WarmRestorer(lambda: open_restorer(work.options), self._note_device)
        self._restorer.warm()
        self._restorer.is_well()
        if self._restorer.lost:
            raise self._restorer.lost
        self._first_device = self._device

    def rows(self, photos: Sequence[Listed]) -> list[Row]:
        """Restore photos and return a row for each, in order.

        Raises an error instead if all further photos would fail too: PhotoError if the sink's disk is full,
        or the archive or the sink is gone, and DeviceLostError if only a new process can use the GPU. That is
        also raised if the CPU went on with the last photos: a new process is faster.
        """
        if self._device != self._first_device:
            raise DeviceLostError(f"{self._first_device} was lost")
        start, crashes = time.perf_counter(), self._tally.crashes([photo.path for photo in photos])
        given_up = {path for path, count in crashes.items() if count >= MOST_CRASHES}
        left = [photo for photo in photos if photo.path not in given_up]
        rows = {photo.path: _given_up(photo) for photo in photos if photo.path in given_up}
        for photo, outcome in self._outcomes(left, alone=bool(crashes)):
            row = outcome if isinstance(outcome, dict) else self._failed(photo, outcome)
            self._tally.end(row)
            rows[photo.path] = row
        seconds = (time.perf_counter() - start) / max(1, len(photos))
        return [rows[photo.path] | {"seconds": seconds, "host": socket.gethostname()} for photo in photos]

    def close(self) -> None:
        """Release the networks' memory."""
        self._restorer.close()

    def _note_device(self, restorer: Restorer) -> None:
        self._device = restorer.backend.device

    def _outcomes(self, photos: Sequence[Listed], *, alone: bool) -> Iterator[tuple[Listed, Row | Exception]]:
        """Yield each photo with its row or its error.

        alone  one photo after the other, so that a crash can be laid to one of them; otherwise the next is
               read and the last is written while one is restored
        """
        if not alone:
            with closing(pipelined(photos, self._read, self._restore, self._write)) as outcomes:
                yield from outcomes
            return
        for photo in photos:
            yield photo, self._outcome(photo)

    def _outcome(self, photo: Listed) -> Row | Exception:
        try:
            return self._write(photo, self._restore(photo, self._read(photo)))
        except Exception as error:
            return error

    def _read(self, listed: Listed) -> _Read:
        self._tally.begin(listed.path)
        work, timings = self._work, dict[str, float]()
        try:
            with timed(timings, "read"):
                if "\\udc" in listed.path:
                    raise PhotoError("its name is not UTF-8: rename it")
                if listed.size > largest_file(work.max_megapixels):
                    raise PhotoError(
                        f"it has {rounded(listed.size / 1e6, 4)} megabytes, more than a photo of "
                        f"{work.max_megapixels:g} megapixels can have: raise --max-megapixels"
                    )
                content = _again(lambda: work.source.read(listed.path))
                photo = read_photo(
                    content, max_megapixels=work.max_megapixels, accept_damaged=work.accept_damaged
                )
                original = OriginalBytes(content, _suffix(listed.path))
                photo = replace(photo, source=replace(photo.source, original=original))
            check_size(photo, work.options.resolved.settings.upscale, work.max_megapixels)
        except Exception as error:
            raise _StageError("read") from error
        return _Read(photo, hashlib.sha256(content).hexdigest(), len(content), timings)

    def _restore(self, listed: Listed, read: _Read) -> _Restored:
        work, resolved = self._work, self._work.options.resolved
        try:
            with self._restorer.turn() as restorer:
                photo, result = restore_photo(
                    restorer,
                    read.photo,
                    resolved.settings,
                    resolved.by_face,
                    strip_metadata=work.strip_metadata,
                )
        except Exception as error:
            if not self._restorer.is_well():
                self._restorer.close()  # the next photo opens it again
            raise _StageError("restore", read) from error
        return _Restored(read, photo, result)

    def _write(self, listed: Listed, restored: _Restored) -> Row:
        read, result, timings = restored.read, restored.result, dict[str, float]()
        is_copy = keeps_name(restored.photo) and _suffix(listed.path) != _suffix(listed.output)
        output = listed.path if is_copy else listed.output
        try:
            with timed(timings, "write"):
                content = encode_as(restored.photo, output)
                if self._work.writes:
                    _again(lambda: self._work.sink.write(output, content))
        except Exception as error:
            raise _StageError("write", read) from error
        described = describe_faces(result.every_face, read.timings | result.timings | timings)
        height, width = read.photo.pixels.shape[:2]
        codes = Counter(warning.code for face in result.every_face for warning in face.warnings)
        return {
            "path": listed.path,
            "output": output,
            "outcome": described["outcome"],
            "sha256": read.sha256,
            "output_sha256": hashlib.sha256(content).hexdigest(),
            "bytes": read.size,
            "output_bytes": len(content),
            "width": width,
            "height": height,
            "faces": len(result.every_face),
            "warnings": list(codes),
            "look_at": described["look_at"],
            "remarks": [*file_remarks(restored.photo, Path(output))],
            **in_columns(described["milliseconds"]),
        }

    def _failed(self, listed: Listed, error: Exception, *, is_last: bool = False) -> Row:
        """Return the row of a photo that failed. Raises PhotoError or DeviceLostError if all others would
        fail too.

        is_last  otherwise a photo that could not be read is tried once more, since its drive may have been
                 away for a moment
        """
        if lost := lost_device(error):
            raise lost
        stage: FailedStage = error.stage if isinstance(error, _StageError) else "restore"
        read = error.read if isinstance(error, _StageError) else None
        cause = error.__cause__ if isinstance(error, _StageError) and error.__cause__ else error
        kind = cause_behind(cause, stage)
        if kind == "disk-full":
            raise PhotoError(
                f"{cause_of(cause)}: free some space, then run the same command again"
            ) from error
        if kind == "output":
            self._check_sink(error)
        if kind in ("gone", "unreadable"):
            self._check_source(error)
            if not is_last:
                again = self._outcome(listed)
                return again if isinstance(again, dict) else self._failed(listed, again, is_last=True)
        known = {"sha256": read.sha256, "bytes": read.size} if read else {}
        why = without_secrets(cause_of(cause))
        return {**_row_of_failure(listed, kind, f"{one_line(listed.path)}: {why}"), **known}

    def _check_source(self, error: Exception) -> None:
        """Raise PhotoError, because of an error with a photo, if the whole archive is gone."""
        source = self._work.source
        try:
            if source.is_empty():
                raise PhotoError(f"{source.shown} is gone or empty")
        except PhotoError as gone:
            raise PhotoError(f"{cause_of(gone)}: when it is back, run the same command again") from error

    def _check_sink(self, error: Exception) -> None:
        """Raise PhotoError, because of an error with a result, if none can be written."""
        sink = self._work.sink
        try:
            sink.check_writable(OWN)
        except PhotoError as refused:
            why = cause_of(refused.__cause__ or refused)
            raise PhotoError(
                f"results cannot be written to {sink.shown}: {why}; mend that, then run the same "
                "command again"
            ) from error


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _again(work: Callable[[], Done]) -> Done:
    """Read or write a file; after a failure of the system or the network, wait and try again."""
    for seconds in _AGAIN:
        try:
            return work()
        except PhotoError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno in _LASTING:
                raise
            time.sleep(seconds)
    return work()


def _given_up(listed: Listed) -> Row:
    ends = f"the program ended {MOST_CRASHES} times while it worked on it"
    return _row_of_failure(listed, "crash", f"{one_line(listed.path)}: {ends}")


def _row_of_failure(listed: Listed, cause: Cause, error: str) -> Row:
    return {
        "path": listed.path,
        "outcome": "failed",
        "bytes": listed.size,
        "error": error,
        "cause": cause,
        "warnings": [],
        "look_at": [],
        "remarks": [],
    }
