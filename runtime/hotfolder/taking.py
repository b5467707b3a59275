"""One photo's way: what is known of it, read, restored, delivered."""

import sqlite3
from pathlib import Path

from runtime.commands.failure_cause import Stage
from runtime.commands.one_photo import check_size, file_remarks, remarks, restored, result_name
from runtime.commands.pages import restore_pages
from runtime.hotfolder.arrivals import Arrivals
from runtime.hotfolder.delivery import Delivery
from runtime.hotfolder.journal import Entry
from runtime.hotfolder.means import Means
from runtime.hotfolder.outcomes import Outcomes, Restoration
from runtime.hotfolder.signature import Signature, sha256_of, signature_in, signature_of
from runtime.hotfolder.space import Space
from runtime.hotfolder.unmoved import Unmoved
from runtime.photo.reader import Photo, largest_file, read_photo
from runtime.timing import timed


class Taking:
    """Takes photos, one at a time, as far as each goes now."""

    def __init__(
        self,
        means: Means,
        delivery: Delivery,
        arrivals: Arrivals,
        space: Space,
        outcomes: Outcomes,
        unmoved: Unmoved,
    ) -> None:
        self._means, self._journal = means, means.journal
        self._delivery, self._arrivals, self._space = delivery, arrivals, space
        self._outcomes, self._unmoved = outcomes, unmoved

    def take(self, path: Path) -> None:
        """Bring one photo as far as it goes now. Raises WatchError, when going on makes no sense."""
        try:
            self._take(path)
        except sqlite3.Error as error:  # when the journal was told what became of it
            self._arrivals.put_back(path, 0)
            self._space.wait_or_end(error)

    def _take(self, path: Path) -> None:
        self._means.status.enter("working", photo=path)
        try:
            entry = self._begin(path)
        except Exception as error:
            self._arrivals.put_back(path, 0)
            self._space.wait_or_end(error)
            return
        if entry is None:
            return
        if entry.crashes > self._means.rules.crashes:
            times = entry.crashes - 1
            self._outcomes.give_up(
                entry, "crash", f"the program ended {times} times while it worked on this photo"
            )
            return
        timings: dict[str, float] = {}
        stage: Stage = "read"
        try:
            with timed(timings, "read"):
                photo = self._read(entry)
            if photo is None:
                return
            stage = "restore"
            whole, restoration = self._restore(entry, photo, timings)
            del photo
            stage = "write"
            with timed(timings, "write"):
                entry = self._delivery.deliver(entry, whole)
        except Exception as error:
            self._outcomes.failed(entry, error, stage)
            return
        self._outcomes.delivered(entry, restoration)

    def _begin(self, path: Path) -> Entry | None:
        """Return the entry of a photo that is to be restored; None for one that needs nothing more."""
        file = self._means.folders.photos / path
        signature = signature_in(self._means.folders.photos, path)
        if signature is None:
            return None
        sha256 = _sha256_or_none(file, largest_file(self._means.rules.max_megapixels))
        started: Entry | None = None
        for entry in self._journal.concerning(path):
            if entry.state == "delivering":  # the disk was full in between
                self._outcomes.delivered(self._delivery.finish(entry))
                return self._begin(path)
            if entry.is_finished:
                if sha256 and entry.sha256 == sha256:  # it was only touched
                    entry = self._journal.update(entry, signature=signature)
                if not self._unmoved.put_away(entry):
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
        if self._means.rules.originals == "move" and entry.state == "done":
            self._unmoved.put_away(
                self._journal.update(entry, state="delivered", stays=False, signature=signature)
            )
        else:
            self._journal.update(entry, signature=signature)

    def _read(self, entry: Entry) -> Photo | None:
        """Return the photo; None when it changed meanwhile, and has to settle again."""
        file = self._means.folders.photos / entry.path
        rules = self._means.rules
        photo = read_photo(file, max_megapixels=rules.max_megapixels, accept_damaged=rules.accept_damaged)
        if signature_of(file) != entry.signature:
            self._outcomes.changed(entry)
            return None
        return photo

    def _restore(self, entry: Entry, photo: Photo, timings: dict[str, float]) -> tuple[Photo, Restoration]:
        force = self._means.forces(entry.path)
        check_size(photo, force.settings.upscale, self._means.rules.max_megapixels)
        result = restore_pages(self._means.engine.restore, photo, force)
        timings |= result.timings
        whole = restored(photo, result, strip_metadata=self._means.rules.strip_metadata)
        codes = tuple(warning.code for face in result.every_face for warning in face.warnings)
        output = Path(result_name(entry.path, whole))
        said = [*remarks(result, force), *file_remarks(whole, output)]
        return whole, Restoration(force.preset, len(result.every_face), codes, timings, said)


def _sha256_or_none(file: Path, most: float) -> str:
    try:
        return sha256_of(file, most) or ""
    except OSError:  # reading it as a photo will say why
        return ""
