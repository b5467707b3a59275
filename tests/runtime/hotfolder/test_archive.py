"""An original is put away under a name that nobody has, however often that is begun."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from base.files import sha256_within
from runtime.hotfolder.archive import Archive
from runtime.hotfolder.folders import Folders
from runtime.hotfolder.journal import Entry, Journal
from runtime.hotfolder.signature import signature_of


class Shelf:
    """An input folder with one photo, which the journal knows, and an output folder."""

    def __init__(self, folder: Path) -> None:
        self.folders = Folders(folder / "in", folder / "out")
        self.photo = self.folders.photos / "album" / "a.jpg"
        for path in (self.photo.parent, self.folders.state):
            path.mkdir(parents=True)
        self.photo.write_bytes(b"photo")
        self.journal = Journal(self.folders.state / "journal.sqlite")

    def entry(self) -> Entry:
        signature = signature_of(self.photo)
        assert signature is not None
        sha256 = sha256_within(self.photo, most=100)
        assert sha256 is not None
        return self.journal.begin(Path("album/a.jpg"), sha256, signature)

    def kept(self, folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    with closing(made.journal):
        yield made


@pytest.mark.parametrize("originals", ["move", "leave"])
def test_an_original_is_kept_once_however_often_that_is_repeated(shelf: Shelf, originals) -> None:
    archive, begun = Archive(shelf.folders, shelf.journal, originals), shelf.entry()
    once = archive.keep(begun, shelf.folders.done)
    for entry in (once, shelf.journal.open_entries()[0]):
        again = archive.keep(entry, shelf.folders.done)
        assert again.kept == once.kept == Path("done/album/a.jpg")
    assert shelf.kept(shelf.folders.done) == {"album/a.jpg": b"photo"}
    assert shelf.photo.exists() == (originals == "leave")


def test_a_name_that_somebody_has_taken_since_is_left_to_them(shelf: Shelf) -> None:
    archive, entry = Archive(shelf.folders, shelf.journal, "move"), shelf.entry()
    theirs = shelf.folders.failed / "album" / "a.jpg"
    theirs.parent.mkdir(parents=True)
    entry = shelf.journal.update(entry, kept=Path("failed/album/a.jpg"), state="failing", reason="too dark")
    theirs.write_bytes(b"theirs")
    entry = archive.keep(entry, shelf.folders.failed, with_reason=True)
    assert shelf.kept(shelf.folders.failed) == {"album/a.jpg": b"theirs", "album/a-2.jpg": b"photo"}
    assert json.loads((theirs.parent / "a-2.jpg.json").read_text())["reason"] == "too dark"
    assert entry.kept == Path("failed/album/a-2.jpg")


def test_a_reason_that_cannot_get_its_name_leaves_no_temporary_file(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(draft: Path, target: Path) -> None:
        raise OSError("refused")

    monkeypatch.setattr(Path, "replace", refuse)
    archive, entry = Archive(shelf.folders, shelf.journal, "move"), shelf.entry()
    with pytest.raises(OSError, match="refused"):
        archive.keep(entry, shelf.folders.failed, with_reason=True)
    assert [path for path in shelf.folders.failed.rglob("*") if path.is_file()] == []


def test_another_photo_of_its_name_stays_where_it_is(shelf: Shelf) -> None:
    entry = shelf.entry()
    shelf.photo.unlink()
    shelf.photo.write_bytes(b"the next")
    archive = Archive(shelf.folders, shelf.journal, "move")
    assert not archive.is_unchanged(entry)
    archive.keep(entry, shelf.folders.done)
    assert shelf.photo.read_bytes() == b"the next"
    assert shelf.kept(shelf.folders.done) == {}
