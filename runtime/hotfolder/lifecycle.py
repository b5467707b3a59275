"""The life of a photo: its states, and every change from one to the next.

    state       on the disk by then                   next                   after a power cut
    started     perhaps a temporary file              delivering, failing,   the photo is restored again
                                                      or forgotten
    delivering  the whole result, temporarily named   delivered              the result gets its name; if the
                                                                             temporary name is gone, it has it
    delivered   the result under its name             done                   the original is put away
    done        the original in done/, or left        delivered              nothing is left to do
    failing     cause and reason, in the journal      failed                 the original is put away
    failed      the original and its reason, failed/                         nothing is left to do

A photo is started when it is taken from the input folder, and forgotten if it is changed or removed before
it is restored. A done photo becomes delivered again if its original was left and a later run moves originals.

Renaming removes the temporary name and creates the final one in one step. The absence of the temporary name
is therefore the proof of delivery, even if somebody has fetched the result since. Each state is on the disk
before the next step begins, so a power cut between two steps neither loses a photo nor delivers it twice.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from base.files import sync_folder
from runtime.commands.failure_cause import Cause
from runtime.commands.output_names import output_name, result_name
from runtime.hotfolder.archive import Archive
from runtime.hotfolder.disk import Disk
from runtime.hotfolder.folders import Folders, Originals
from runtime.hotfolder.journal import Entry, Journal, State
from runtime.hotfolder.names import DRAFT, first_free, is_refused, make_folder, numbered, plain
from runtime.hotfolder.signature import Signature
from runtime.photo.reader import Photo
from runtime.photo.writer import write_draft

NEXT: dict[State, tuple[State, ...]] = {
    "started": ("delivering", "failing"),
    "delivering": ("delivered",),
    "delivered": ("done",),
    "done": ("delivered",),
    "failing": ("failed",),
    "failed": (),
}
"""The states that may follow each state."""


@dataclass(frozen=True)
class Lifecycle:
    """Takes photos from state to state. Every method may raise OSError, and may then be called again."""

    folders: Folders
    journal: Journal
    originals: Originals
    disk: Disk = field(default_factory=Disk)

    def start(self, path: Path, sha256: str, signature: Signature, attempt: Entry | None) -> Entry:
        """Begin to restore a photo, or begin again; count the attempt as a crash until it has ended.

        attempt  the entry of an earlier attempt at the same content, if there was one
        """
        entry = attempt or self.journal.begin(path, sha256, signature)
        return self.journal.update(entry, signature=signature, crashes=entry.crashes + 1)

    def forget(self, entry: Entry) -> None:
        """Forget a started photo that was changed or removed before it was restored."""
        self.journal.forget(entry)

    def deliver(self, entry: Entry, photo: Photo) -> Entry:
        """Write the result of a started photo under a free name; return its entry as delivered.

        Raises PhotoError when it cannot be written.
        """
        first = make_folder(self.folders.output, entry.path.parent) / result_name(entry.path, photo)
        number = self._free_number(entry, first)
        folder = self.folders.output / first.parent
        draft = write_draft(folder / first.name, photo, prefix=DRAFT)
        drafted = draft.relative_to(self.folders.output)
        names = {"number": number, "draft": drafted, "output": numbered(first, number)}
        try:
            sync_folder(folder)
            entry = self._enter("delivering", entry, crashes=0, **names)
        except BaseException:
            # Once the journal names the draft, its absence would mean that it was delivered.
            if all(each.draft != drafted for each in self.journal.concerning(entry.path)):
                draft.unlink(missing_ok=True)
            raise
        return self.finish_delivery(entry)

    def finish_delivery(self, entry: Entry) -> Entry:
        """Give the result of a delivering photo its name, unless it has it; return its entry as delivered.

        A name that the file system refuses becomes a plain one.
        """
        assert entry.draft is not None
        assert entry.output is not None
        draft = self.folders.output / entry.draft
        while draft.exists():
            try:
                self.disk.rename_new(draft, self.folders.output / entry.output)
            except OSError as error:
                entry = self._renamed(entry, entry.output, error)
        sync_folder(draft.parent)
        return self._enter("delivered", entry, draft=None)

    def fail(self, entry: Entry, cause: Cause, reason: str) -> Entry:
        """Note why a started photo could not be restored; return its entry as failing."""
        return self._enter("failing", entry, cause=cause, reason=reason, crashes=0)

    def put_away(self, entry: Entry) -> Entry:
        """Put the original of a delivered or failing photo away; return its entry as done or failed."""
        archive = self._archive
        if entry.state == "failing":
            return self._enter("failed", archive.keep(entry, self.folders.failed, with_reason=True))
        if self.originals == "leave":
            return self._enter("done", entry, **archive.leave(entry))
        return self._enter("done", archive.keep(entry, self.folders.done))

    def meet_again(self, entry: Entry, signature: Signature) -> Entry:
        """Note that the original of a done or failed photo, which was left, is still there; return its entry.

        It is delivered, to be put away, if originals are moved now.
        """
        if self.originals == "move" and entry.state == "done":
            return self._enter("delivered", entry, stays=False, signature=signature)
        return self.journal.update(entry, signature=signature)

    def recover(self, postpone: Callable[[Entry, Exception], None]) -> None:
        """Complete what an earlier run has begun, except restoring.

        postpone  called with each original that cannot be put away
        """
        for entry in self.journal.open_entries():
            if entry.state == "delivering":
                entry = self.finish_delivery(entry)
            if entry.is_finished:
                try:
                    self.put_away(entry)
                except Exception as error:
                    postpone(entry, error)
            elif not self._archive.is_unchanged(entry):
                self.forget(entry)

    def sweep(self) -> int:
        """Remove the temporary files of a killed run, after `recover`; return how many."""
        kept = {self.folders.output / entry.draft for entry in self.journal.open_entries() if entry.draft}
        stale = [
            path
            for place, _, names in os.walk(self.folders.output)
            for name in names
            if name.startswith(f".{DRAFT}") and (path := Path(place, name)) not in kept
        ]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    @property
    def _archive(self) -> Archive:
        return Archive(self.folders, self.journal, self.originals, self.disk)

    def _enter(self, state: State, entry: Entry, **changes: Any) -> Entry:
        assert state in NEXT[entry.state], f"{entry.state} to {state}"
        return self.journal.update(entry, state=state, **changes)

    def _renamed(self, entry: Entry, output: Path, error: OSError) -> Entry:
        """Choose another name for a result whose name is taken or refused. Raises `error` otherwise."""
        keeps_suffix = output.suffix.lower() == entry.path.suffix.lower()
        name = entry.path.name if keeps_suffix else output_name(entry.path)
        if is_refused(error, output.name):
            name = plain(name)
        elif not isinstance(error, FileExistsError):  # taken since a free name was looked for
            raise error
        first = output.with_name(name)
        number = self._free_number(entry, first)
        return self.journal.update(entry, number=number, output=numbered(first, number))

    def _free_number(self, entry: Entry, result: Path) -> int:
        """Return a number with which the names of the result and of its original are both free."""

        def is_free(number: int) -> bool:
            names = [self.folders.output / numbered(result, number)]
            if self.originals == "move":
                names.append(self.folders.done / numbered(entry.path, number))
            return not any(map(os.path.lexists, names))

        return first_free(is_free)
