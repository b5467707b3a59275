"""What becomes of a photo's files, step by step: a power cut between any two loses and doubles nothing.

    state       on the disk by then                          after a power cut
    started     a temporary file, perhaps                    it is removed, the photo is restored again
    delivering  the result, whole, as temporary file         it is given its name; if it is gone, it has it
    delivered   the result under its name                    the original is put away
    done        the original in done/, or left
    failing     cause and reason                             the entry in failed/ is made
    failed      the original and its reason in failed/

A rename takes the temporary file away and makes the result in one step; its absence is the proof of delivery,
even where somebody has fetched the result since.
"""

import os
from collections.abc import Callable
from pathlib import Path

from base.files import sync_folder
from runtime.commands.failure_cause import Cause
from runtime.commands.one_photo import output_name, result_name
from runtime.hotfolder.folders import Folders, Originals
from runtime.hotfolder.journal import Entry, Journal
from runtime.hotfolder.moving import rename_new
from runtime.hotfolder.names import DRAFT, first_free, is_refused, make_folder, numbered, plain
from runtime.hotfolder.originals import Keeper
from runtime.photo.reader import Photo
from runtime.photo.writer import write_draft


class Delivery:
    """Results and originals on their way to where they belong. All raise OSError, and can be called again."""

    def __init__(self, folders: Folders, journal: Journal, originals: Originals) -> None:
        self.folders, self.journal, self.originals = folders, journal, originals
        self._keeper = Keeper(folders, journal, originals)

    def deliver(self, entry: Entry, photo: Photo) -> Entry:
        """Write a photo's result under a name that nobody has; return its entry as delivered.

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
            entry = self.journal.update(entry, state="delivering", crashes=0, **names)
        except BaseException:
            # Unless the journal knows of it: then its absence would say that it was delivered.
            if all(each.draft != drafted for each in self.journal.concerning(entry.path)):
                draft.unlink(missing_ok=True)
            raise
        return self.finish(entry)

    def finish(self, entry: Entry) -> Entry:
        """Give a result that is whole its name, if it hasn't got it; a plain one if that is refused."""
        assert entry.draft is not None
        assert entry.output is not None
        draft = self.folders.output / entry.draft
        while draft.exists():
            target = self.folders.output / entry.output
            try:
                rename_new(draft, target)
            except OSError as error:
                is_copy = entry.output.suffix.lower() == entry.path.suffix.lower()
                name = entry.path.name if is_copy else output_name(entry.path)
                if is_refused(error, entry.output.name):
                    name = plain(name)
                elif not isinstance(error, FileExistsError):  # since it was looked for
                    raise
                first = entry.output.with_name(name)
                number = self._free_number(entry, first)
                entry = self.journal.update(entry, number=number, output=numbered(first, number))
        sync_folder(draft.parent)
        return self.journal.update(entry, state="delivered", draft=None)

    def fail(self, entry: Entry, cause: Cause, reason: str) -> Entry:
        """Note why a photo could not be restored."""
        return self.journal.update(entry, state="failing", cause=cause, reason=reason, crashes=0)

    def put_away(self, entry: Entry) -> Entry:
        """Put the original of what is delivered or failing where it belongs; return its entry as finished."""
        if entry.state == "failing":
            entry = self._keeper.keep(entry, self.folders.failed, explained=True)
            return self.journal.update(entry, state="failed")
        if self.originals == "leave":
            return self._keeper.leave(entry)
        return self.journal.update(self._keeper.keep(entry, self.folders.done), state="done")

    def recover(self, unmoved: Callable[[Entry, Exception], None]) -> None:
        """Finish what an earlier run has begun, as far as that needs no restoring.

        unmoved  told of an original that cannot be put away
        """
        for entry in self.journal.open_entries():
            if entry.state == "delivering":
                entry = self.finish(entry)
            if entry.is_finished:
                try:
                    self.put_away(entry)
                except Exception as error:
                    unmoved(entry, error)
            elif not self._keeper.is_there(entry):
                self.journal.forget(entry)

    def sweep(self) -> int:
        """Remove the temporary files that a killed run has left, once recovered; return how many."""
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

    def _free_number(self, entry: Entry, result: Path) -> int:
        """Return the number under which both the result and its original have nobody's name."""

        def is_free(number: int) -> bool:
            names = [self.folders.output / numbered(result, number)]
            if self.originals == "move":
                names.append(self.folders.done / numbered(entry.path, number))
            return not any(map(os.path.lexists, names))

        return first_free(is_free)
