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

import errno
import os
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from runtime.atomic import draft_beside, sync_folder, write_new
from runtime.causes import Cause
from runtime.hotfolder.folders import Folders, Originals
from runtime.hotfolder.journal import Entry, Journal
from runtime.hotfolder.names import first_free, numbered, rename_new
from runtime.hotfolder.signature import Signature, sha256_of, signature_of
from runtime.one_line import utf8
from runtime.one_photo import output_name
from runtime.photo.reader import Photo
from runtime.photo.writer import write_draft

DRAFT = "watch-"
"""What the watcher's temporary files begin with, after a dot."""


class Delivery:
    """Results and originals on their way to where they belong. All raise OSError, and can be called again."""

    def __init__(self, folders: Folders, journal: Journal, originals: Originals) -> None:
        self.folders, self.journal, self.originals = folders, journal, originals

    def deliver(self, entry: Entry, photo: Photo) -> Entry:
        """Write a photo's result under a name that nobody has; return its entry as delivered.

        Raises PhotoError when it cannot be written.
        """
        first = make_folder(self.folders.output, entry.path.parent) / output_name(entry.path)
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
        """Give a result that is whole its name, if it hasn't got it."""
        assert entry.draft is not None
        assert entry.output is not None
        draft = self.folders.output / entry.draft
        while draft.exists():
            target = self.folders.output / entry.output
            try:
                rename_new(draft, target)
            except FileExistsError:  # since it was looked for
                first = entry.output.with_name(output_name(entry.path))
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
            entry = self._keep(entry, self.folders.failed, explained=True)
            return self.journal.update(entry, state="failed")
        if self.originals == "leave":
            found = signature_of(self._original(entry))
            stays = self.is_there(entry)
            return self.journal.update(
                entry, state="done", stays=stays, signature=found if found and stays else entry.signature
            )
        return self.journal.update(self._keep(entry, self.folders.done), state="done")

    def recover(self, unmoved: Callable[[Entry, Exception], None]) -> None:
        """Finish what an earlier run has begun, as far as that needs no restoring.

        unmoved  told of an original that cannot be put away
        """
        for entry in self.journal.open_entries():
            if entry.state == "delivering":
                entry = self.finish(entry)
            if entry.state in ("delivered", "failing"):
                try:
                    self.put_away(entry)
                except Exception as error:
                    unmoved(entry, error)
            elif not self.is_there(entry):
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

    def is_there(self, entry: Entry) -> bool:
        """Return whether the original is where it was, with the content that it had."""
        return _is_it(self._original(entry), entry, lambda signature: signature == entry.signature)

    def _original(self, entry: Entry) -> Path:
        return self.folders.photos / entry.path

    def _free_number(self, entry: Entry, result: Path) -> int:
        """Return the number under which both the result and its original have nobody's name."""

        def is_free(number: int) -> bool:
            names = [self.folders.output / numbered(result, number)]
            if self.originals == "move":
                names.append(self.folders.done / numbered(entry.path, number))
            return not any(map(os.path.lexists, names))

        return first_free(is_free)

    def _keep(self, entry: Entry, folder: Path, *, explained: bool = False) -> Entry:
        """Bring the original into a folder, if it is there, or a copy where originals are left."""
        inside = self.folders.output / make_folder(self.folders.output, folder / entry.path.parent)
        if entry.kept is None:
            entry = self._with_name(entry, inside, 0 if explained else entry.number - 1)
        if explained:
            self._explain(entry)
        found = signature_of(self._original(entry))
        there = self.is_there(entry)
        while there and not self._kept(entry):
            entry = self._with_name(entry, inside, entry.number)
            if explained:
                self._explain(entry)
        sync_folder(inside)
        if not there:
            return entry
        if self.originals == "move":
            return self._put_back_another(entry)
        return self.journal.update(entry, stays=True, signature=found or entry.signature)

    def _with_name(self, entry: Entry, inside: Path, after: int) -> Entry:
        """Take a name in a folder for the original, and for the reason beside it."""
        first = inside / entry.path.name

        def is_free(number: int) -> bool:
            name = numbered(first, number)
            return not os.path.lexists(name) and not os.path.lexists(_reason_of(name))

        number = first_free(is_free, after)
        kept = numbered(first, number).relative_to(self.folders.output)
        return self.journal.update(entry, number=number, kept=kept)

    def _kept(self, entry: Entry) -> bool:
        """Move or copy the original to its new name; return False when somebody else has that now."""
        assert entry.kept is not None
        source, target = self._original(entry), self.folders.output / entry.kept
        if self.originals == "leave" and not _is_readable(source):
            return True  # the reason must do
        try:
            if self.originals == "leave":
                _copy_new(source, target)
            else:
                _move_new(source, target)
        except FileExistsError:
            if not entry.sha256 or sha256_of(target) != entry.sha256:
                return False
            if self.originals == "move":  # a copy that was whole when the power was cut
                source.unlink()
        if self.originals == "move":
            sync_folder(target.parent)
            sync_folder(source.parent)
        return True

    def _put_back_another(self, entry: Entry) -> Entry:
        """Put back what was moved if it was rewritten in the last moment: it is another photo."""
        assert entry.kept is not None
        kept = self.folders.output / entry.kept
        moved = signature_of(kept)
        if moved is None or _is_it(kept, entry, entry.signature.has_same_content):
            return entry
        try:
            _move_new(kept, self._original(entry))
        except FileExistsError:  # a third: the second is kept where it is
            return entry
        return self.journal.update(entry, kept=None)

    def _explain(self, entry: Entry) -> None:
        """Write the reason beside where the original goes."""
        assert entry.kept is not None
        target = _reason_of(self.folders.output / entry.kept)
        told = {
            "photo": utf8(entry.path),
            "cause": entry.cause,
            "reason": entry.reason,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "sha256": entry.sha256 or None,
            "version": version("gpen-edge"),
        }
        draft = draft_beside(target, DRAFT)
        with write_new(draft) as file:
            file.write(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        draft.replace(target)


def make_folder(root: Path, inside: Path) -> Path:
    """Make folders in `root`, so that a power cut does not take them back; return their path in it.

    Where a file has the name of one, that one is numbered. Raises OSError, also when the root is gone.
    """
    made = Path()
    for name in (root / inside).relative_to(root).parts:
        made = numbered(made / name, first_free(partial(_may_be_folder, root / made / name)))
        if not (root / made).is_dir():
            (root / made).mkdir()
            sync_folder((root / made).parent)
    return made


def _may_be_folder(path: Path, number: int) -> bool:
    path = numbered(path, number)
    return path.is_dir() or not os.path.lexists(path)


def _reason_of(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.json")


def _is_it(path: Path, entry: Entry, looks_alike: Callable[[Signature], bool]) -> bool:
    found = signature_of(path)
    if found is None:
        return False
    if looks_alike(found):
        return True
    try:
        return bool(entry.sha256) and sha256_of(path) == entry.sha256
    except OSError:
        return False


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def _move_new(source: Path, target: Path) -> None:
    try:
        rename_new(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_new(source, target)  # another disk
        source.unlink()


def _copy_new(source: Path, target: Path) -> None:
    """Copy a file to a name that nobody has; it appears whole. Raises FileExistsError and other OSErrors."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    draft = draft_beside(target, DRAFT)
    status = source.stat()
    with source.open("rb") as original, write_new(draft) as copy:
        while block := original.read(1 << 20):
            copy.write(block)
    try:
        os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
        rename_new(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
