"""Originals of finished photos: left, or put where they belong, with the reason of a failure."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import msgspec

from base.files import draft_beside, sync_folder, vanishing, write_new
from base.text import utf8
from runtime.hotfolder.folders import Folders, Originals
from runtime.hotfolder.journal import Entry, Journal
from runtime.hotfolder.moving import copy_new, move_new
from runtime.hotfolder.names import DRAFT, first_free, is_refused, make_folder, numbered, plain
from runtime.hotfolder.signature import Signature, sha256_of, signature_of


@dataclass(frozen=True)
class Keeper:
    """Puts originals away. All raise OSError, and can be called again."""

    folders: Folders
    journal: Journal
    originals: Originals

    def is_there(self, entry: Entry) -> bool:
        """Return whether the original is where it was, with the content that it had."""
        return _is_it(self._original(entry), entry, lambda signature: signature == entry.signature)

    def leave(self, entry: Entry) -> Entry:
        """Finish a delivered photo whose original is left; return its entry."""
        found, stays = signature_of(self._original(entry)), self.is_there(entry)
        signature = found if found and stays else entry.signature
        return self.journal.update(entry, state="done", stays=stays, signature=signature)

    def _original(self, entry: Entry) -> Path:
        return self.folders.photos / entry.path

    def keep(self, entry: Entry, folder: Path, *, explained: bool = False) -> Entry:
        """Bring the original into a folder, if it is there, or a copy where originals are left.

        It keeps its name, with a number if somebody has that; a name that is refused becomes a plain one.
        """
        inside = self.folders.output / make_folder(self.folders.output, folder / entry.path.parent)
        wanted = inside / entry.path.name
        if entry.kept is None:
            entry = self._with_name(entry, wanted, 0 if explained else entry.number - 1)
        while True:
            assert entry.kept is not None
            try:
                if explained:
                    self._explain(entry)
                found = signature_of(self._original(entry))
                there = self.is_there(entry)
                if not there or self._kept(entry):
                    break
                after = entry.number
            except OSError as error:
                if not is_refused(error, entry.kept.name):
                    raise
                wanted, after = inside / plain(entry.path.name), entry.number - 1
            entry = self._with_name(entry, wanted, after)
        sync_folder(inside)
        if not there:
            return entry
        if self.originals == "move":
            return self._put_back_another(entry)
        return self.journal.update(entry, stays=True, signature=found or entry.signature)

    def _with_name(self, entry: Entry, wanted: Path, after: int) -> Entry:
        """Take a name for the original, and for the reason beside it."""

        def is_free(number: int) -> bool:
            name = numbered(wanted, number)
            return not os.path.lexists(name) and not os.path.lexists(_reason_of(name))

        number = first_free(is_free, after)
        kept = numbered(wanted, number).relative_to(self.folders.output)
        return self.journal.update(entry, number=number, kept=kept)

    def _kept(self, entry: Entry) -> bool:
        """Move or copy the original to its new name; return False when somebody else has that now."""
        assert entry.kept is not None
        source, target = self._original(entry), self.folders.output / entry.kept
        if self.originals == "leave" and not (entry.sha256 and _is_readable(source)):
            return True  # it cannot be read, or is too long: the reason must do
        try:
            if self.originals == "leave":
                copy_new(source, target)
            else:
                move_new(source, target)
        except FileExistsError:
            if not _has_content_of(entry, target):
                return False
            # It is a copy that was whole when the power was cut.
            if self.originals == "move" and self.is_there(entry):
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
        if not entry.sha256 and moved.size == entry.signature.size:  # as far as can be told
            return entry
        try:
            move_new(kept, self._original(entry))
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
        with vanishing(draft):
            draft.replace(target)


def _reason_of(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.json")


def _is_it(path: Path, entry: Entry, looks_alike: Callable[[Signature], bool]) -> bool:
    found = signature_of(path)
    if found is None:
        return False
    if looks_alike(found):
        return True
    try:
        return _has_content_of(entry, path)
    except OSError:
        return False


def _has_content_of(entry: Entry, path: Path) -> bool:
    """Return whether a file has the content that a photo had. No more of it is read than the photo had."""
    return bool(entry.sha256) and sha256_of(path, entry.signature.size) == entry.sha256


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True
