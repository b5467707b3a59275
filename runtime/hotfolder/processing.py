"""Process one photo as far as is possible now, whatever happens on the way."""

from contextlib import suppress
from pathlib import Path

from base.errors import PhotoError, WatchError
from base.files import sha256_within
from base.text import cause_of
from runtime.commands.failure_cause import PASSING, Cause, Stage, cause_behind, lost_device
from runtime.commands.output_names import result_name
from runtime.commands.pages import restore_pages
from runtime.commands.remarks import file_remarks, remarks
from runtime.commands.restored_photo import check_size, restored
from runtime.hotfolder.journal import Entry
from runtime.hotfolder.lifecycle import Lifecycle
from runtime.hotfolder.output_folder import OutputFolder
from runtime.hotfolder.postponed import PostponedOriginals
from runtime.hotfolder.reporting import Reporter, Restoration
from runtime.hotfolder.resources import Resources
from runtime.hotfolder.sheets import write_new_sheet
from runtime.hotfolder.signature import Signature, signature_in, signature_of
from runtime.photo.reader import Photo, largest_file, read_photo
from runtime.pixels import Pixels
from runtime.result import RestoreResult
from runtime.timing import timed

AT_ONCE = 0.0


class _ChangedError(Exception):
    """The photo was written to while it was read."""


class Processor:
    """Processes photos, one at a time. Every method may raise WatchError, which ends the work."""

    def __init__(self, resources: Resources, output: OutputFolder) -> None:
        self._resources, self._output, self._rules = resources, output, resources.rules
        self._journal = resources.journal
        self._lifecycle = Lifecycle(
            resources.folders, resources.journal, resources.rules.originals, resources.disk
        )
        self._report = Reporter(resources.status, resources.log)
        self._tries: dict[Path, int] = {}
        """How many times each photo was tried for a cause that may pass."""
        self.originals = PostponedOriginals(resources, self._lifecycle, output, self._report)

    def process(self, path: Path) -> float | None:
        """Process a photo as far as is possible now.

        path  in the input folder

        Returns the seconds after which the photo should be processed again, if it exists then; None if it is
        finished.
        """
        try:
            return self._process(path)
        except Exception as error:  # the output folder, or the journal in it, cannot be written now
            self._output.wait_or_end(error)
            return AT_ONCE

    def _process(self, path: Path) -> float | None:
        self._resources.status.enter("working", photo=path)
        entry = self._start(path)
        if entry is None:
            return None
        if entry.crashes > self._rules.crashes:
            reason = f"the program ended {entry.crashes - 1} times while it worked on this photo"
            self._fail(entry, "crash", reason)
            return None
        timings: dict[str, float] = {}
        stage: Stage = "read"
        try:
            with timed(timings, "read"):
                photo = self._read(entry)
            stage = "restore"
            whole, result, restoration = self._restore(entry, photo, timings)
            shown = (photo.pixels, result) if self._rules.compare else None
            del photo, result
            stage = "write"
            with timed(timings, "write"):
                delivered = self._lifecycle.deliver(entry, whole)
        except Exception as error:
            return self._resolve(entry, error, stage)
        self._report.restored(delivered, restoration)
        if shown:
            self._write_sheet(delivered, *shown)
        self._finish(delivered)
        return None

    def _start(self, path: Path) -> Entry | None:
        """Return the entry of a photo that has to be restored; None if nothing more has to be done."""
        signature = signature_in(self._resources.folders.photos, path)
        if signature is None:
            return None
        sha256 = self._sha256(path)
        attempt: Entry | None = None
        for entry in self._journal.concerning(path):
            is_same = entry.sha256 == sha256
            if entry.state == "delivering":  # the disk was full when it should have got its name
                delivered = self._lifecycle.finish_delivery(entry)
                self._report.restored_earlier(delivered)
                self._finish(delivered)
                return self._start(path)
            if entry.is_finished:
                if sha256 and is_same:  # it was only touched
                    entry = self._journal.update(entry, signature=signature)
                return self._start(path) if self.originals.put_away(entry) else None
            if entry.stays and is_same:
                entry = self._lifecycle.meet_again(entry, signature)
                if entry.is_finished:
                    self.originals.put_away(entry)
                return None
            if entry.state == "started" and is_same:
                attempt = entry
            elif entry.state == "started":  # another photo has taken its place
                self._lifecycle.forget(entry)
        return self._lifecycle.start(path, sha256, signature, attempt)

    def _sha256(self, path: Path) -> str:
        """Return the hash of a photo's content; empty if it is unreadable or too large for any photo."""
        try:
            largest = largest_file(self._rules.max_megapixels)
            return sha256_within(self._resources.folders.photos / path, largest) or ""
        except OSError:  # reading it as a photo will say why
            return ""

    def _read(self, entry: Entry) -> Photo:
        """Read a photo. Raises PhotoError, and _ChangedError if it was written to in the meantime."""
        file, rules = self._resources.folders.photos / entry.path, self._rules
        try:
            photo = read_photo(file, max_megapixels=rules.max_megapixels, accept_damaged=rules.accept_damaged)
        except Exception as error:
            if signature_of(file) not in (None, entry.signature):
                raise _ChangedError from error
            raise
        if signature_of(file) != entry.signature:
            raise _ChangedError
        return photo

    def _restore(
        self, entry: Entry, photo: Photo, timings: dict[str, float]
    ) -> tuple[Photo, RestoreResult, Restoration]:
        """Restore a photo; return the result to write, its original, and the facts to report."""
        resolved = self._resources.settings_for(entry.path)
        check_size(photo, resolved.settings.upscale, self._rules.max_megapixels)
        result = restore_pages(self._resources.restorer.restore, photo, resolved)
        timings |= result.timings
        whole = restored(photo, result, strip_metadata=self._rules.strip_metadata)
        if self._resources.provenance:
            whole = self._resources.provenance.written(whole, photo, result, resolved)
        codes = tuple(warning.code for face in result.every_face for warning in face.warnings)
        output = Path(result_name(entry.path, whole))
        sentences = [*remarks(result, resolved), *file_remarks(whole, output)]
        restoration = Restoration(resolved.preset, len(result.every_face), codes, timings, sentences)
        return whole, result, restoration

    def _write_sheet(self, entry: Entry, before: Pixels, result: RestoreResult) -> None:
        """Write the before/after sheet of a delivered photo; the photo does not depend on it."""
        assert self._rules.compare is not None
        assert entry.output is not None
        try:
            write_new_sheet(self._rules.compare, entry.output, before, result)
        except (OSError, PhotoError) as error:
            self._report.no_sheet(entry.path, error)

    def _resolve(self, entry: Entry, error: Exception, stage: Stage) -> float | None:
        """Decide what to do with a started photo after an error: forget it, try again, or fail it. Raises the
        error if it concerns the output folder.
        """
        path, cause = entry.path, cause_behind(error, stage)
        if isinstance(error, _ChangedError) or cause == "gone":
            self._lifecycle.forget(entry)
            if isinstance(error, _ChangedError):
                self._report.changed(path)
            else:
                self._report.gone(path)
            return AT_ONCE
        if cause in ("disk-full", "output"):
            self._count_no_crash(entry)
            raise error
        if lost := lost_device(error):
            self._count_no_crash(entry)
            raise WatchError(f"{lost}; the photos are still in the input folder") from error
        if cause in ("engine", "memory"):
            self._resources.restorer.close()
        tries = self._tries.get(path, 0) + 1
        if cause in PASSING and tries <= self._rules.retries:
            self._tries[path] = tries
            self._count_no_crash(entry)
            seconds = self._rules.wait_of(tries)
            self._report.retried(path, cause, error, seconds)
            return seconds
        if cause == "engine" and not self._resources.restorer.is_well():
            self._count_no_crash(entry)
            raise WatchError(
                f"the engine no longer restores anything ({cause_of(error)}): fix that, then start again; "
                "the photos are still in the input folder"
            ) from error
        self._fail(entry, cause, cause_of(error))
        return None

    def _fail(self, entry: Entry, cause: Cause, reason: str) -> None:
        failing = self._lifecycle.fail(entry, cause, reason)
        self._report.failed(entry.path, cause, reason)
        self._finish(failing)

    def _finish(self, entry: Entry) -> None:
        """Finish a photo that is delivered or failing."""
        self._tries.pop(entry.path, None)
        if entry.state == "delivered":
            self._output.was_written()
        self.originals.put_away(entry)

    def _count_no_crash(self, entry: Entry) -> None:
        with suppress(Exception):  # the disk may be full for the journal too
            self._journal.update(entry, crashes=entry.crashes - 1)

    def recover(self) -> dict[Path, float]:
        """Complete what an earlier run has begun; return when photos that it started should be processed
        again.

        Those come after the others: they may be what crashed the program. Raises OSError and sqlite3.Error.
        """
        self._lifecycle.recover(self.originals.postpone)
        if stale := self._lifecycle.sweep():
            sentence = f"{stale} temporary files of an earlier run were removed"
            self._resources.log("swept", sentence, files=stale)
        started = (entry for entry in self._journal.open_entries() if entry.state == "started")
        return {entry.path: self._rules.wait_of(entry.crashes) for entry in started}

    def is_finished(self, path: Path, signature: Signature) -> bool:
        """Return whether a file needs no processing: it was left, or its original is put away later."""
        leave = self._rules.originals == "leave"
        return any(
            entry.signature == signature
            and (entry.is_finished or (entry.stays and (leave or entry.state == "failed")))
            for entry in self._journal.concerning(path)
        )
