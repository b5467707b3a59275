"""A file comes to a name that nobody has, whole, and stays where it was if that cannot be."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.hotfolder.disk import Disk

OTHERS = b"somebody else's"


def unknown_flag(*arguments: object) -> int:
    """As a file system answers that has no step that fails if the target is there."""
    ctypes.set_errno(errno.EINVAL)
    return -1


@pytest.fixture(params=[Disk(), Disk(None), Disk(unknown_flag)], ids=["usual", "no such step", "refused"])
def any_disk(request: pytest.FixtureRequest) -> Disk:
    """A disk on systems with and without a step that renames without replacing."""
    disk: Disk = request.param
    return disk


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    os.utime(path, (1e9, 1e9))
    return path


class AnotherDisk(Disk):
    """Files can only be renamed within a folder, as if each folder were on a disk of its own."""

    def rename_new(self, source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename_new(source, target)


def test_a_free_name_is_taken(any_disk: Disk, source: Path) -> None:
    target = source.with_name("result.jpg")
    any_disk.rename_new(source, target)
    assert target.read_bytes() == b"photo"
    assert not source.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere"])
@pytest.mark.parametrize("bring", [Disk.rename_new, Disk.move_new, Disk.copy_new])
def test_a_name_that_is_taken_stays_whose_it_is(
    any_disk: Disk, source: Path, bring: Callable[[Disk, Path, Path], None], kind: str
) -> None:
    target = source.with_name("taken")
    if kind == "file":
        target.write_bytes(OTHERS)
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        bring(any_disk, source, target)
    assert source.read_bytes() == b"photo"
    assert sorted(path.name for path in source.parent.iterdir()) == ["photo.jpg", "taken"]
    assert target.is_dir() if kind == "folder" else target.is_symlink() or target.read_bytes() == OTHERS


def test_a_missing_file_is_an_error_of_the_system(any_disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        any_disk.rename_new(tmp_path / "gone", tmp_path / "new")


def test_to_another_disk_it_is_copied_and_removed_with_its_time(source: Path) -> None:
    folder = source.parent / "disk"
    folder.mkdir()
    AnotherDisk().move_new(source, folder / "photo.jpg")
    assert not source.exists()
    (moved,) = folder.iterdir()
    assert moved.read_bytes() == b"photo"
    assert moved.stat().st_mtime == 1e9


class SlowDisk(AnotherDisk):
    """While a photo is copied, another one takes its name."""

    def copy_new(self, source: Path, target: Path) -> None:
        super().copy_new(source, target)
        source.with_name("next").write_bytes(b"the next")
        source.with_name("next").replace(source)


def test_what_replaces_it_while_it_is_copied_to_another_disk_stays(source: Path) -> None:
    folder = source.parent / "disk"
    folder.mkdir()
    SlowDisk().move_new(source, folder / "photo.jpg")
    assert (folder / "photo.jpg").read_bytes() == b"photo"
    assert source.read_bytes() == b"the next"


def test_a_copy_that_fails_leaves_the_original_and_nothing_else(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "utime", full)
    with pytest.raises(OSError, match="space"):
        Disk().copy_new(source, source.with_name("copy.jpg"))
    assert list(source.parent.iterdir()) == [source]


def test_a_drive_that_takes_no_times_gets_the_photo(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "utime", refused)
    folder = source.parent / "done"
    folder.mkdir()
    AnotherDisk().move_new(source, folder / "photo.jpg")
    assert (folder / "photo.jpg").read_bytes() == b"photo"
    assert list(source.parent.iterdir()) == [folder]
