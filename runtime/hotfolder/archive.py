"""The originals of finished photos: left in place, or moved to done/, or to failed/ with the reason beside
them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from base.files import draft_beside, json_bytes, sha256_within, sync_folder, vanishing, write_new
from base.text import utf8
from base.version import installed_version
from runtime.hotfolder.disk import Disk
from runtime.hotfolder.folders import Folders, Originals
from runtime.hotfolder.journal import Entry, Journal
from runtime.hotfolder.names import DRAFT, first_free, is_refused, make_folder, numbered, plain
from runtime.hotfolder.signature import Signature, signature_of


@dataclass(frozen=True)
class Archive:
    """Puts originals away. Every method may raise OSError, and may then be called again."""

    folders: Folders
    journal: Journal
    originals: Originals
    disk: Disk = field(default_factory=Disk)

    def is_unchanged(self, entry: Entry) -> bool:
        """Return whether the original is still in place and unchanged."""
        return _is_same(self._original(entry), entry, lambda signature: signature == entry.signature)

    def leave(self, entry: Entry) -> dict[str, Any]:
        """Return the changes to the entry of a photo whose original is left in place."""
        found, stays = signature_of(self._original(entry)), self.is_unchanged(entry)
        return {"stays": stays, "signature": found if found and stays else entry.signature}

    def keep(self, entry: Entry, folder: Path, *, with_reason: bool = False) -> Entry:
        """Move the original into a folder, if it is still there, or copy it if originals are left.

        It keeps its name, with a number if the name is taken; a name that the file system refuses is replaced
        by a plain one.
        """
        inside = self.folders.output / make_folder(self.folders.output, folder / entry.path.parent)
        wanted = inside / entry.path.name
        if entry.kept is None:
            entry = self._named(entry, wanted, 0 if with_reason else entry.number - 1)
        while True:
            assert entry.kept is not None
            try:
                if with_reason:
                    self._write_reason(entry, entry.kept)
                found = signature_of(self._original(entry))
                is_there = self.is_unchanged(entry)
                if not is_there or self._bring(entry, entry.kept):
                    break
                after = entry.number
            except OSError as error:
                if not is_refused(error, entry.kept.name):
                    raise
                wanted, after = inside / plain(entry.path.name), entry.number - 1
            entry = self._named(entry, wanted, after)
        sync_folder(inside)
        if not is_there:
            return entry
        if self.originals == "move":
            return self._return_another(entry, entry.kept)
        return self.journal.update(entry, stays=True, signature=found or entry.signature)

    def _original(self, entry: Entry) -> Path:
        return self.folders.photos / entry.path

    def _named(self, entry: Entry, wanted: Path, after: int) -> Entry:
        """Choose a free name for the original and for the reason beside it."""

        def is_free(number: int) -> bool:
            name = numbered(wanted, number)
            return not os.path.lexists(name) and not os.path.lexists(_reason_of(name))

        number = first_free(is_free, after)
        kept = numbered(wanted, number).relative_to(self.folders.output)
        return self.journal.update(entry, number=number, kept=kept)

    def _bring(self, entry: Entry, kept: Path) -> bool:
        """Move or copy the original to its new name; return False if that has been taken meanwhile."""
        source, target = self._original(entry), self.folders.output / kept
        if self.originals == "leave" and not (entry.sha256 and _is_readable(source)):
            return True  # unreadable, or too large for a photo: only the reason is written
        try:
            if self.originals == "leave":
                self.disk.copy_new(source, target)
            else:
                self.disk.move_new(source, target)
        except FileExistsError:
            if not _has_content_of(entry, target):
                return False
            # It is our own copy, which was whole when the power was cut.
            if self.originals == "move" and self.is_unchanged(entry):
                source.unlink()
        if self.originals == "move":
            sync_folder(target.parent)
            sync_folder(source.parent)
        return True

    def _return_another(self, entry: Entry, kept: Path) -> Entry:
        """Return a photo to the input folder if it had replaced the original just before that was moved."""
        target = self.folders.output / kept
        moved = signature_of(target)
        if moved is None or _is_same(target, entry, entry.signature.has_same_content):
            return entry
        if not entry.sha256 and moved.size == entry.signature.size:  # as far as can be known
            return entry
        try:
            self.disk.move_new(target, self._original(entry))
        except FileExistsError:  # a third photo: the second one is kept where it is
            return entry
        return self.journal.update(entry, kept=None)

    def _write_reason(self, entry: Entry, kept: Path) -> None:
        target = _reason_of(self.folders.output / kept)
        reason = {
            "photo": utf8(entry.path),
            "cause": entry.cause,
            "reason": entry.reason,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "sha256": entry.sha256 or None,
            "version": installed_version(),
        }
        draft = draft_beside(target, DRAFT)
        with write_new(draft) as file:
            file.write(json_bytes(reason))
        with vanishing(draft):
            draft.replace(target)


def _reason_of(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.json")


def _is_same(path: Path, entry: Entry, looks_alike: Callable[[Signature], bool]) -> bool:
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
    """Return whether a file has the content that a photo had. No more is read than the photo's size."""
    return bool(entry.sha256) and sha256_within(path, entry.signature.size) == entry.sha256


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True
