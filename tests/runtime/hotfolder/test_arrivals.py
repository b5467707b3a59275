"""A photo is taken once it has settled; as many wait as there are places, and none is forgotten."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.hotfolder.arrivals import Arrivals, is_photo
from runtime.hotfolder.clock import Clock
from runtime.hotfolder.signature import Signature


class StoppedClock(Clock):
    """Shows the time that it was set to."""

    time = 100.0

    def now(self) -> float:
        return self.time


class Folder:
    """A folder with photos, and a clock that goes on when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock = folder, StoppedClock()
        self.known: Callable[[Path, Signature], bool] = lambda path, signature: False

    def put(self, name: str, content: bytes = b"photo") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def arrivals(self, *, settle: float = 2, rescan: float = 30, capacity: int = 10) -> Arrivals:
        return Arrivals(
            self.path,
            lambda path, signature: self.known(path, signature),
            settle=settle,
            rescan=rescan,
            capacity=capacity,
            clock=self.clock,
        )

    def taken(self, arrivals: Arrivals, after: float = 0) -> list[str]:
        """Let time go on, look, and take all that is ready."""
        self.clock.time += after
        arrivals.look()
        found = []
        while (path := arrivals.take()) is not None:
            found.append(str(path))
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_photo_whose_folder_becomes_a_link_waits_no_longer(folder: Folder, tmp_path: Path) -> None:
    folder.put("album/a.jpg")
    arrivals = folder.arrivals()
    assert folder.taken(arrivals) == []
    (tmp_path / "album").rename(tmp_path / ".elsewhere")
    (tmp_path / "album").symlink_to(".elsewhere")
    assert folder.taken(arrivals, 5) == []
    assert arrivals.is_empty


def test_a_photo_is_taken_once_after_it_has_settled(folder: Folder) -> None:
    folder.put("a.jpg")
    arrivals = folder.arrivals()
    assert folder.taken(arrivals) == []
    assert folder.taken(arrivals, 1.9) == []
    assert len(arrivals) == 1
    assert folder.taken(arrivals, 0.2) == ["a.jpg"]
    assert arrivals.is_empty
    assert folder.taken(arrivals, 5) == []


def test_each_change_begins_the_settling_anew(folder: Folder) -> None:
    arrivals = folder.arrivals()
    for i in range(1, 5):
        folder.put("a.jpg", b"x" * i)
        assert folder.taken(arrivals, 1.5) == []
    assert folder.taken(arrivals, 2) == ["a.jpg"]


def test_an_empty_file_is_waited_for_ten_times_as_long(folder: Folder) -> None:
    folder.put("a.jpg", b"")
    arrivals = folder.arrivals()
    folder.taken(arrivals)
    assert folder.taken(arrivals, 19) == []
    assert folder.taken(arrivals, 1) == ["a.jpg"]


def test_what_vanishes_while_it_waits_is_dropped(folder: Folder) -> None:
    path, arrivals = folder.put("a.jpg"), folder.arrivals()
    folder.taken(arrivals)
    path.unlink()
    assert folder.taken(arrivals, 5) == []
    assert arrivals.is_empty


def test_what_is_put_back_waits_its_time_behind_the_others(folder: Folder) -> None:
    for name in ("a.jpg", "b.jpg"):
        folder.put(name)
    arrivals = folder.arrivals(settle=0)
    arrivals.look()
    first = arrivals.take()
    assert first == Path("a.jpg")
    arrivals.put_back(first, 10)
    assert folder.taken(arrivals) == ["b.jpg"]
    assert folder.taken(arrivals, 9) == []
    assert folder.taken(arrivals, 1) == ["a.jpg"]
    arrivals.put_back(Path("gone.jpg"), 0)
    assert arrivals.is_empty


def test_more_than_there_are_places_for_come_when_there_is_room(folder: Folder) -> None:
    names = [f"{i}.jpg" for i in range(9)]
    for name in names:
        folder.put(name)
    arrivals = folder.arrivals(settle=0, capacity=4)
    found: list[str] = []
    while not arrivals.is_empty or not found:
        arrivals.look()
        assert arrivals.in_memory <= 4
        assert len(arrivals) == 9 - len(found)
        path = arrivals.take()
        assert path is not None
        (folder.path / path).unlink()
        found.append(str(path))
    assert sorted(found) == names


def test_an_event_shows_a_photo_before_the_folder_is_looked_through(folder: Folder) -> None:
    arrivals = folder.arrivals(settle=0, rescan=30)
    assert folder.taken(arrivals) == []
    folder.put("told.jpg")
    folder.put("untold.jpg")
    arrivals.touch(folder.path / "told.jpg")
    arrivals.touch(Path("/elsewhere/c.jpg"))
    assert folder.taken(arrivals) == ["told.jpg"]
    (folder.path / "told.jpg").unlink()
    assert folder.taken(arrivals, 29) == []
    assert folder.taken(arrivals, 1) == ["untold.jpg"]


def test_a_folder_that_is_moved_in_is_looked_through(folder: Folder) -> None:
    arrivals = folder.arrivals(settle=0)
    folder.taken(arrivals)
    folder.put("album/deep/a.jpg")
    arrivals.touch(folder.path / "album")
    assert folder.taken(arrivals) == ["album/deep/a.jpg"]


def test_a_flood_of_events_is_bounded_and_misses_nothing(folder: Folder) -> None:
    arrivals = folder.arrivals(settle=0, capacity=3)
    folder.taken(arrivals)
    for i in range(50):
        arrivals.touch(folder.path / f"{i}.txt")
    folder.put("a.jpg")
    arrivals.touch(folder.path / "a.jpg")
    assert folder.taken(arrivals) == ["a.jpg"]


def test_what_is_known_is_passed_over_until_it_changes(folder: Folder) -> None:
    path = folder.put("a.jpg")
    arrivals = folder.arrivals(settle=0, rescan=0.1)
    before = path.stat().st_mtime_ns
    folder.known = lambda name, signature: signature.modified == before
    assert folder.taken(arrivals) == []
    os.utime(path, (1, 1))
    assert folder.taken(arrivals, 1) == ["a.jpg"]


def test_a_folder_that_is_gone_is_told_and_one_in_it_is_passed_over(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("a.jpg")
    folder.put("vanishing/b.jpg")
    arrivals, real = folder.arrivals(settle=0), os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("vanishing"):
            raise FileNotFoundError(2, "gone", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert folder.taken(arrivals) == ["a.jpg"]
    shutil.rmtree(folder.path)
    arrivals.look_again()
    with pytest.raises(FileNotFoundError):
        arrivals.look()


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("a.jpg", True),
        ("A.JPEG", True),
        ("phone.heic", True),
        ("web.avif", True),
        ("raw.NEF", True),  # it cannot be read, and fails with a reason
        ("deep/er/a.png", True),
        ("notes.txt", False),
        ("jpg", False),
        (".hidden.jpg", False),
        (".folder/a.jpg", False),
        ("done/a.jpg", False),
        ("Failed/a.jpg", False),
        ("album/done/a.jpg", True),
        ("done.jpg", True),
    ],
)
def test_a_file_is_taken_by_its_name(path: str, taken: bool) -> None:
    assert is_photo(Path(path)) is taken
