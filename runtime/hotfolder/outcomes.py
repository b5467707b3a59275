"""What becomes of a photo that was taken: delivered, tried again, failed, or left for later."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from base.errors import WatchError
from base.text import cause_of, one_line, utf8
from runtime.commands.failure_cause import PASSING, Cause, Stage, cause_behind
from runtime.hotfolder.arrivals import Arrivals
from runtime.hotfolder.delivery import Delivery
from runtime.hotfolder.journal import Entry
from runtime.hotfolder.means import Means
from runtime.hotfolder.signature import signature_of
from runtime.hotfolder.space import Space
from runtime.hotfolder.unmoved import Unmoved


@dataclass(frozen=True)
class Restoration:
    """What is told of a photo that was restored."""

    preset: str
    faces: int
    """Faces found."""
    warnings: tuple[str, ...]
    """Codes of what was noticed of them."""
    timings: dict[str, float]
    """Milliseconds of each stage."""
    remarks: list[str]


class Outcomes:
    """Decides, and says it in journal, status and log. May raise WatchError, when going on makes no sense."""

    def __init__(
        self, means: Means, delivery: Delivery, arrivals: Arrivals, space: Space, unmoved: Unmoved
    ) -> None:
        self._unmoved = unmoved
        self._means, self._delivery, self._arrivals, self._space = means, delivery, arrivals, space
        self._journal, self._status, self._log = means.journal, means.status, means.log
        self._tries: dict[Path, int] = {}
        """How often each photo was tried for a cause that passes."""

    def delivered(self, entry: Entry, restoration: Restoration | None = None) -> None:
        """Say that a result is there, and put its original away.

        restoration  None where an earlier run restored it
        """
        assert entry.output is not None
        self._space.was_found()
        self._tries.pop(entry.path, None)
        self._status.done += 1
        if restoration:
            self._log_restored(entry, entry.output, restoration)
        else:
            name, output = one_line(entry.path), one_line(entry.output)
            sentence = f"{name}: restored as {output} by an earlier run"
            self._log("done", sentence, photo=utf8(entry.path), output=utf8(entry.output))
        self._unmoved.put_away(entry)

    def _log_restored(self, entry: Entry, output: Path, restoration: Restoration) -> None:
        status, timings = self._status, restoration.timings
        status.took(timings)
        status.no_face += restoration.faces == 0
        status.warnings.update(restoration.warnings)
        name, seconds = one_line(entry.path), sum(timings.values()) / 1000
        by = f"preset {one_line(restoration.preset)}" + (f", {status.backend}" if status.backend else "")
        self._log(
            "done",
            f"{name}: restored as {one_line(output)} in {seconds:.1f} s ({by})",
            photo=utf8(entry.path),
            output=utf8(output),
            preset=restoration.preset,
            backend=status.backend or None,
            faces=restoration.faces,
            milliseconds={stage: round(value, 1) for stage, value in timings.items()},
            remarks=restoration.remarks,
        )
        for remark in restoration.remarks:
            self._log("remark", f"{name}: {remark}", photo=utf8(entry.path))

    def failed(self, entry: Entry, error: Exception, stage: Stage) -> None:
        """Decide what becomes of a photo that could not be brought to its end now."""
        path, cause = entry.path, cause_behind(error, stage)
        if cause in ("disk-full", "output"):
            self._calm(entry)
            self._arrivals.put_back(path, 0)
            self._space.wait_or_end(error)
            return
        if stage == "read" and signature_of(self._means.folders.photos / path) not in (None, entry.signature):
            self.changed(entry)
            return
        if cause == "gone":
            self._journal.forget(entry)
            self._log("gone", f"{one_line(path)}: taken away before it was read", photo=utf8(path))
            return
        if cause in ("engine", "memory"):
            self._means.engine.close()
        tries = self._tries.get(path, 0) + 1
        if cause in PASSING and tries <= self._means.rules.retries:
            self._again(entry, cause, error, tries)
            return
        if cause == "engine" and not self._means.engine.is_well():
            self._calm(entry)
            raise WatchError(
                f"the engine restores nothing any more ({cause_of(error)}): start again when it is mended; "
                "the photos are still in the input folder"
            ) from error
        self.give_up(entry, cause, cause_of(error))

    def _again(self, entry: Entry, cause: Cause, error: Exception, tries: int) -> None:
        path, seconds = entry.path, self._means.rules.wait_of(tries)
        self._tries[path] = tries
        self._status.retries[cause] += 1
        self._calm(entry)
        self._arrivals.put_back(path, seconds)
        self._log(
            "retry",
            f"{one_line(path)}: {cause_of(error)}: again in {seconds:g} s",
            level=logging.WARNING,
            photo=utf8(path),
            cause=cause,
        )

    def give_up(self, entry: Entry, cause: Cause, reason: str) -> None:
        """Fail a photo: it is put away with its reason."""
        try:
            entry = self._delivery.fail(entry, cause, reason)
        except Exception as error:
            self._arrivals.put_back(entry.path, 0)
            self._space.wait_or_end(error)
            return
        self._tries.pop(entry.path, None)
        self._status.failures[cause] += 1
        self._log(
            "failed",
            f"{one_line(entry.path)}: failed: {reason}",
            level=logging.ERROR,
            photo=utf8(entry.path),
            cause=cause,
        )
        self._unmoved.put_away(entry)

    def changed(self, entry: Entry) -> None:
        """Let a photo that is being written settle again."""
        self._journal.forget(entry)
        self._arrivals.put_back(entry.path, 0)
        said = f"{one_line(entry.path)}: changed while it was read: waiting until it settles"
        self._log("changed", said, photo=utf8(entry.path))

    def _calm(self, entry: Entry) -> None:
        """Take back that this attempt counts as one that the program died of."""
        with suppress(Exception):  # the disk may be full for the journal too
            self._journal.update(entry, crashes=entry.crashes - 1)
