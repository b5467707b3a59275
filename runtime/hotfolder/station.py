"""The hot folder at work: one photo after the other, until it is told to stop."""

import logging
import time
from contextlib import suppress
from pathlib import Path

from engines.errors import WatchError
from runtime.causes import PASSING, Cause, Stage, cause_behind
from runtime.hotfolder.arrivals import Arrivals
from runtime.hotfolder.delivery import Delivery
from runtime.hotfolder.engine import Engine
from runtime.hotfolder.events import Events
from runtime.hotfolder.folders import Folders
from runtime.hotfolder.journal import Entry, Journal
from runtime.hotfolder.log import Log
from runtime.hotfolder.rules import LONGEST_WAIT, Forces, Rules
from runtime.hotfolder.signature import Signature, sha256_of, signature_of
from runtime.hotfolder.status import Status
from runtime.one_line import cause_of, one_line, utf8
from runtime.one_photo import check_size, remarks, restored
from runtime.photo.reader import Photo, read_photo
from runtime.timing import timed

_TICK = 0.5
"""Seconds after which it looks around at least: for a signal, and for folders that vanish."""


class Station:
    """Takes photos as they arrive and delivers each."""

    def __init__(
        self,
        folders: Folders,
        journal: Journal,
        rules: Rules,
        *,
        forces: Forces,
        engine: Engine,
        status: Status,
        log: Log,
    ) -> None:
        self._folders, self._journal, self._rules = folders, journal, rules
        self._forces, self._engine, self._status, self._log = forces, engine, status, log
        self._delivery = Delivery(folders, journal, rules.originals)
        self._arrivals = Arrivals(
            folders.photos, self._is_known, settle=rules.settle, rescan=rules.rescan, places=rules.queue
        )
        self._tries: dict[Path, int] = {}
        """How often each photo was tried for a cause that passes."""
        self._full = 0
        """How often in a row the disk was full."""
        self._identity = _identity(journal.file)
        self._stopped = False

    def stop(self) -> None:
        """End after the present photo. It may be called anywhere, in a signal's handler too."""
        self._stopped = True  # and nothing else: a handler must not wait for a lock

    def run(self) -> None:
        """Work until stopped. Raises GpenEdgeError when going on makes no sense; nothing is lost then."""
        try:
            while not (self._stopped or self._recovered()):
                pass
            if not self._stopped:
                self._engine.warm()
            while not self._stopped and self._watch():
                self._wait_for_input()
        finally:
            self._engine.close()
            self._status.enter("stopped")

    def _recovered(self) -> bool:
        """Finish what an earlier run has begun; return False to be called again, when there was space."""
        try:
            self._delivery.recover(self._unmoved)
            stale = self._delivery.sweep()
            for entry in self._journal.open_entries():
                if entry.state == "started":  # others first: it may be what the program died of
                    self._arrivals.put_back(entry.path, self._rules.wait_of(entry.crashes))
        except Exception as error:
            self._wait_for_space_or_end(error)
            return False
        if stale:
            self._log("swept", f"{stale} temporary files of an earlier run were removed", files=stale)
        return True

    def _watch(self) -> bool:
        """Work until stopped, or done, or the input folder is gone; return True for the last."""
        folder = self._folders.photos
        identity = _identity(folder)
        events = self._events()
        try:
            while not self._stopped:
                self._check_output()
                if identity is None or _identity(folder) != identity:
                    return True
                try:
                    self._arrivals.look()
                except OSError:  # it has vanished this moment
                    return True
                self._status.queue = len(self._arrivals)
                path = self._arrivals.take()
                if path is not None:
                    self._take(path)
                elif self._rules.once and self._arrivals.is_empty:
                    return False
                else:
                    self._status.enter("idle")
                    self._arrivals.wait(_TICK)
            return False
        finally:
            if events:
                events.close()

    def _events(self) -> Events | None:
        try:
            return Events(self._folders.photos, self._arrivals.touch)
        except OSError as error:
            every = self._rules.rescan
            said = f"no file events ({cause_of(error)}): the folder is looked through every {every:g} s"
            self._log("no-events", said, level=logging.WARNING)
            return None

    def _wait_for_input(self) -> None:
        self._status.enter("no-input")
        self._log("no-input", "the input folder is gone: waiting for it", level=logging.WARNING)
        while not self._stopped and not self._folders.photos.is_dir():
            self._check_output()
            time.sleep(_TICK)
        if not self._stopped:
            self._arrivals.look_again()
            self._log("input", "the input folder is there again")

    def _check_output(self) -> None:
        """Make sure that the journal is the file that was opened: its folder may be unmounted or gone."""
        if self._identity is None or _identity(self._journal.file) != self._identity:
            raise WatchError(
                f"the output folder {one_line(self._folders.output)} is gone or was replaced: "
                "start again when it is back; photos that were not delivered are still in the input folder"
            )

    def _take(self, path: Path) -> None:
        """Bring one photo as far as it goes now."""
        self._status.enter("working", photo=path)
        try:
            entry = self._begin(path)
        except Exception as error:
            self._arrivals.put_back(path, 0)
            self._wait_for_space_or_end(error)
            return
        if entry is None:
            return
        if entry.crashes > self._rules.crashes:
            times = entry.crashes - 1
            self._give_up(entry, "crash", f"the program ended {times} times while it worked on this photo")
            return
        timings: dict[str, float] = {}
        stage: Stage = "read"
        try:
            with timed(timings, "read"):
                photo = self._read(entry)
            if photo is None:
                return
            stage = "restore"
            whole, sentences = self._restore(entry, photo, timings)
            del photo
            stage = "write"
            with timed(timings, "write"):
                entry = self._delivery.deliver(entry, whole)
        except Exception as error:
            self._failed(entry, error, stage)
            return
        self._delivered(entry, timings, sentences)

    def _begin(self, path: Path) -> Entry | None:
        """Return the entry of a photo that is to be restored; None for one that needs nothing more."""
        file = self._folders.photos / path
        signature = signature_of(file)
        if signature is None:
            return None
        sha256 = _sha256_or_none(file)
        started: Entry | None = None
        for entry in self._journal.concerning(path):
            if entry.state == "delivering":  # the disk was full in between
                self._delivered(self._delivery.finish(entry), {}, [])
                return self._begin(path)
            if entry.state in ("delivered", "failing"):
                if not self._put_away(entry):
                    return None
                return self._begin(path)
            if entry.stays and entry.sha256 == sha256:
                self._known_again(entry, signature)
                return None
            if entry.state == "started" and entry.sha256 == sha256:
                started = entry
            elif entry.state == "started":
                self._journal.forget(entry)  # it was replaced by another
        started = started or self._journal.begin(path, sha256, signature)
        return self._journal.update(started, signature=signature, crashes=started.crashes + 1)

    def _known_again(self, entry: Entry, signature: Signature) -> None:
        """Settle a photo that was left and is finished: it was only touched, or originals are moved now."""
        if self._rules.originals == "move" and entry.state == "done":
            self._put_away(self._journal.update(entry, state="delivered", stays=False, signature=signature))
        else:
            self._journal.update(entry, signature=signature)

    def _is_known(self, path: Path, signature: Signature) -> bool:
        """Tell what was left and needs nothing more, without reading it."""
        return any(
            entry.stays
            and entry.signature == signature
            and (self._rules.originals == "leave" or entry.state == "failed")
            for entry in self._journal.concerning(path)
        )

    def _read(self, entry: Entry) -> Photo | None:
        """Return the photo; None when it changed meanwhile, and has to settle again."""
        file = self._folders.photos / entry.path
        photo = read_photo(file, max_megapixels=self._rules.max_megapixels)
        if signature_of(file) != entry.signature:
            self._changed(entry)
            return None
        return photo

    def _restore(self, entry: Entry, photo: Photo, timings: dict[str, float]) -> tuple[Photo, list[str]]:
        force = self._forces(entry.path)
        check_size(photo, force.settings.upscale, self._rules.max_megapixels)
        result = self._engine.restore(photo.pixels, force)
        timings |= result.timings
        whole = restored(photo, result, strip_metadata=self._rules.strip_metadata)
        return whole, list(remarks(result, force))

    def _delivered(self, entry: Entry, timings: dict[str, float], sentences: list[str]) -> None:
        """Say that a result is there, and put its original away."""
        assert entry.output is not None
        self._full = 0
        self._tries.pop(entry.path, None)
        self._status.done += 1
        self._status.took(timings)
        name, seconds = one_line(entry.path), sum(timings.values()) / 1000
        self._log(
            "done",
            f"{name}: restored as {one_line(entry.output)} in {seconds:.1f} s",
            photo=utf8(entry.path),
            output=utf8(entry.output),
            milliseconds={stage: round(value, 1) for stage, value in timings.items()},
            remarks=sentences,
        )
        for sentence in sentences:
            self._log("remark", f"{name}: {sentence}", photo=utf8(entry.path))
        self._put_away(entry)

    def _put_away(self, entry: Entry) -> bool:
        """Put an original away; return whether that is done."""
        try:
            self._delivery.put_away(entry)
        except Exception as error:
            self._unmoved(entry, error)
            return False
        return True

    def _unmoved(self, entry: Entry, error: Exception) -> None:
        """Have an original put away later: its photo is finished all the same."""
        full = cause_behind(error, "write") == "disk-full"
        self._arrivals.put_back(entry.path, 0 if full else LONGEST_WAIT)
        if full:
            self._wait_for_space_or_end(error)
            return
        self._log(
            "not-moved",
            f"{one_line(entry.path)}: is finished, but its original cannot be put away ({cause_of(error)}): "
            "later again",
            level=logging.WARNING,
            photo=utf8(entry.path),
        )

    def _failed(self, entry: Entry, error: Exception, stage: Stage) -> None:
        """Decide what becomes of a photo that could not be brought to its end now."""
        path, cause = entry.path, cause_behind(error, stage)
        if cause in ("disk-full", "output"):
            self._calm(entry)
            self._arrivals.put_back(path, 0)
            self._wait_for_space_or_end(error)
            return
        if stage == "read" and signature_of(self._folders.photos / path) not in (None, entry.signature):
            self._changed(entry)
            return
        if cause == "gone":
            self._journal.forget(entry)
            self._log("gone", f"{one_line(path)}: taken away before it was read", photo=utf8(path))
            return
        if cause in ("engine", "memory"):
            self._engine.close()
        tries = self._tries.get(path, 0) + 1
        if cause in PASSING and tries <= self._rules.retries:
            self._again(entry, cause, error, tries)
            return
        if cause == "engine" and not self._engine.is_well():
            raise WatchError(
                f"the engine restores nothing any more ({cause_of(error)}): start again when it is mended; "
                "the photos are still in the input folder"
            ) from error
        self._give_up(entry, cause, cause_of(error))

    def _again(self, entry: Entry, cause: Cause, error: Exception, tries: int) -> None:
        path, seconds = entry.path, self._rules.wait_of(tries)
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

    def _give_up(self, entry: Entry, cause: Cause, reason: str) -> None:
        try:
            entry = self._delivery.fail(entry, cause, reason)
        except Exception as error:
            self._arrivals.put_back(entry.path, 0)
            self._wait_for_space_or_end(error)
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
        self._put_away(entry)

    def _changed(self, entry: Entry) -> None:
        self._journal.forget(entry)
        self._arrivals.put_back(entry.path, 0)
        said = f"{one_line(entry.path)}: changed while it was read: waiting until it settles"
        self._log("changed", said, photo=utf8(entry.path))

    def _calm(self, entry: Entry) -> None:
        """Take back that this attempt counts as one that the program died of."""
        with suppress(Exception):  # the disk may be full for the journal too
            self._journal.update(entry, crashes=entry.crashes - 1)

    def _wait_for_space_or_end(self, error: Exception) -> None:
        """Wait a while if the disk is full; raise WatchError for anything else that the output refuses."""
        if cause_behind(error, "write") != "disk-full":
            raise WatchError(
                f"the output folder {one_line(self._folders.output)} cannot be worked with: "
                f"{cause_of(error)}; photos that were not delivered are still in the input folder"
            ) from error
        self._full += 1
        seconds = self._rules.wait_of(self._full)
        self._status.enter("waiting", "disk-full")
        self._status.retries["disk-full"] += 1
        self._log(
            "disk-full",
            f"the disk is full ({cause_of(error)}): waiting {seconds:g} s",
            level=logging.WARNING,
            cause="disk-full",
        )
        until = time.monotonic() + seconds
        while not self._stopped and (left := until - time.monotonic()) > 0:
            self._check_output()
            time.sleep(min(left, _TICK))


def _sha256_or_none(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError:  # reading it as a photo will say why
        return ""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
