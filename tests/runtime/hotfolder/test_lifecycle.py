"""A photo's states follow each other only as the table says."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.files import sha256_within
from runtime.hotfolder import lifecycle
from runtime.hotfolder.folders import Folders
from runtime.hotfolder.journal import OPEN, Entry, Journal
from runtime.hotfolder.lifecycle import NEXT, Lifecycle
from runtime.hotfolder.signature import signature_of
from runtime.photo.reader import read_photo


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "in", tmp_path / "out")
    made.photos.mkdir()
    made.output.mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(made.photos / "a.png")
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.sqlite")) as opened:
        yield opened


def started(photos: Lifecycle) -> Entry:
    file = photos.folders.photos / "a.png"
    signature, sha256 = signature_of(file), sha256_within(file, 1e6)
    assert signature is not None
    assert sha256 is not None
    return photos.start(Path("a.png"), sha256, signature, None)


def test_the_table_lists_the_states_in_their_order() -> None:
    assert lifecycle.__doc__ is not None
    table = re.findall(r"^    (\w+) +\S.*$", lifecycle.__doc__, re.MULTILINE)
    assert table == ["state", *NEXT]


def test_every_open_state_leads_to_done_or_failed() -> None:
    def ends(state: str) -> set[str]:
        return {state} if state in ("done", "failed") else set().union(*map(ends, NEXT[state]))  # type: ignore[index]

    assert [ends(state) for state in OPEN] == [{"done", "failed"}, {"done"}, {"done"}, {"failed"}]


def test_a_left_original_is_put_away_once_originals_are_moved(folders: Folders, journal: Journal) -> None:
    leaving, moving = (Lifecycle(folders, journal, originals) for originals in ("leave", "move"))
    entry = leaving.deliver(started(leaving), read_photo(folders.photos / "a.png"))
    assert (entry.state, entry.output, entry.draft) == ("delivered", Path("a.png"), None)
    entry = leaving.put_away(entry)
    assert (entry.state, entry.stays, (folders.photos / "a.png").exists()) == ("done", True, True)
    entry = moving.put_away(moving.meet_again(entry, entry.signature))
    assert (entry.state, entry.stays, (folders.done / "a.png").exists()) == ("done", False, True)


def test_a_photo_that_fails_keeps_its_reason(folders: Folders, journal: Journal) -> None:
    photos = Lifecycle(folders, journal, "move")
    entry = photos.fail(started(photos), "photo", "too dark")
    assert (entry.state, entry.crashes, entry.reason) == ("failing", 0, "too dark")
    assert photos.put_away(entry).state == "failed"
    assert sorted(path.name for path in folders.failed.iterdir()) == ["a.png", "a.png.json"]


def test_a_state_that_does_not_follow_is_refused(folders: Folders, journal: Journal) -> None:
    photos = Lifecycle(folders, journal, "move")
    entry = photos.deliver(started(photos), read_photo(folders.photos / "a.png"))
    with pytest.raises(AssertionError, match="delivered to failing"):
        photos.fail(entry, "photo", "too dark")
