"""What the journal was told it still knows after a restart, and never too little of it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import WatchError
from runtime.hotfolder import journal as journal_module
from runtime.hotfolder.journal import OPEN, Entry, Journal
from runtime.hotfolder.signature import Signature

SIGNATURE = Signature(7, 100, 1_700_000_000_123_456_789, 1_700_000_000_123_456_790)
PATHS = (
    st.binary(min_size=1, max_size=20)
    .filter(lambda name: b"\0" not in name)
    .map(lambda name: Path(os.fsdecode(name)))
)
NUMBERS = st.integers(0, 2**63 - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)  # files may be dated like the old photos in them
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(["started", "delivering", "delivered", "done", "failing", "failed"]),
        "signature": st.builds(Signature, NUMBERS, NUMBERS, TIMES, TIMES),
        "crashes": st.integers(0, 9),
        "number": st.integers(1, 99),
        "draft": st.none() | PATHS,
        "output": st.none() | PATHS,
        "kept": st.none() | PATHS,
        "stays": st.booleans(),
        "cause": st.none() | st.sampled_from(["photo", "memory"]),
        "reason": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    },
)


@pytest.fixture
def journal(tmp_path: Path):
    with closing(Journal(tmp_path / "journal.sqlite")) as opened:
        yield opened


def all_of(journal: Journal) -> list[Entry]:
    return sorted([*journal.open_entries(), *journal.finished()], key=lambda entry: entry.id)


@given(steps=st.lists(st.tuples(PATHS, st.lists(CHANGES.filter(bool), max_size=3)), max_size=3))
def test_whatever_is_noted_is_known_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Path, list[dict[str, object]]]]
) -> None:
    file = tmp_path_factory.mktemp("journals") / "journal.sqlite"
    noted = []
    with closing(Journal(file)) as journal:
        for path, changes in steps:
            entry = journal.begin(path, "ab" * 32, SIGNATURE)
            for change in changes:
                entry = journal.update(entry, **change)
            noted.append(entry)
    with closing(Journal(file)) as journal:
        assert all_of(journal) == noted


def test_what_is_not_finished_or_was_left_concerns_the_file_that_is_there(journal: Journal) -> None:
    entries = {}
    for state in (*OPEN, "done", "failed"):
        for stays in (False, True):
            entry = journal.begin(Path("a.jpg"), "", SIGNATURE)
            entries[state, stays] = journal.update(entry, state=state, stays=stays)
    journal.begin(Path("b.jpg"), "", SIGNATURE)
    gone = (entries.pop(("done", False)), entries.pop(("failed", False)))
    assert journal.concerning(Path("a.jpg")) == list(entries.values())
    assert set(gone) < set(journal.finished())
    assert [entry.state for entry in journal.open_entries()] == [
        state for state in OPEN for _ in range(2)
    ] + ["started"]


def test_what_is_forgotten_was_never_there(journal: Journal) -> None:
    journal.forget(journal.begin(Path("a.jpg"), "", SIGNATURE))
    assert all_of(journal) == []


def test_a_number_is_never_given_again(journal: Journal) -> None:
    first = journal.begin(Path("a.jpg"), "", SIGNATURE)
    journal.forget(first)
    assert journal.begin(Path("a.jpg"), "", SIGNATURE).id > first.id


def test_old_history_goes_but_nothing_that_something_depends_on(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finished(name: str, *, stays: bool) -> Entry:
        return journal.update(journal.begin(Path(name), "", SIGNATURE), state="done", stays=stays)

    monkeypatch.setattr(journal_module, "HISTORY", 2)
    journal.prune(lambda path: True)
    waiting = journal.begin(Path("waiting.jpg"), "", SIGNATURE)
    finished("left.jpg", stays=True)  # and replaced
    left = finished("left.jpg", stays=True)
    finished("gone.jpg", stays=True)
    last = [finished(f"{i}.jpg", stays=False) for i in range(5)][-2:]
    journal.prune(lambda path: path.name == "gone.jpg")
    assert all_of(journal) == [waiting, left, *last]


def test_a_journal_of_another_version_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    Journal(file).close()
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(WatchError, match="of another version, 9: move it away"):
        Journal(file)
    assert file.exists()
