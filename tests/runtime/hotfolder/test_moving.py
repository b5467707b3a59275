"""A file comes to a name that nobody has, whole, and stays where it was if that cannot be."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.hotfolder import moving
from runtime.hotfolder.moving import copy_new, move_new, rename_new

OTHERS = b"somebody else's"


def unknown_flag(*arguments: object) -> int:
    """As a file system answers that has no step that fails if the target is there."""
    ctypes.set_errno(errno.EINVAL)
    return -1


@pytest.fixture(params=["the system's step", "no such step", "a file system without it"])
def any_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"no such step": None, "a file system without it": unknown_flag}
    if request.param in found:
        monkeypatch.setattr(moving, "_renameat2", lambda: found[request.param])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture
def another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming works only between drafts and their final names, which lie in one folder."""

    def rename(source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename_new(source, target)

    monkeypatch.setattr(moving, "rename_new", rename)


def test_a_free_name_is_taken(any_system: None, source: Path) -> None:
    target = source.with_name("result.jpg")
    rename_new(source, target)
    assert target.read_bytes() == b"photo"
    assert not source.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere"])
@pytest.mark.parametrize("bring", [rename_new, move_new, copy_new])
def test_a_name_that_is_taken_stays_whose_it_is(
    any_system: None, source: Path, bring: Callable[[Path, Path], None], kind: str
) -> None:
    target = source.with_name("taken")
    if kind == "file":
        target.write_bytes(OTHERS)
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        bring(source, target)
    assert source.read_bytes() == b"photo"
    assert sorted(path.name for path in source.parent.iterdir()) == ["photo.jpg", "taken"]
    assert target.is_dir() if kind == "folder" else target.is_symlink() or target.read_bytes() == OTHERS


def test_a_missing_file_is_an_error_of_the_system(any_system: None, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename_new(tmp_path / "gone", tmp_path / "new")


def test_to_another_disk_it_is_copied_and_removed_with_its_time(another_disk: None, source: Path) -> None:
    folder = source.parent / "disk"
    folder.mkdir()
    move_new(source, folder / "photo.jpg")
    assert not source.exists()
    (moved,) = folder.iterdir()
    assert moved.read_bytes() == b"photo"
    assert moved.stat().st_mtime == 1e9


def test_what_replaces_it_while_it_is_copied_to_another_disk_stays(
    another_disk: None, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_slowly(source: Path, target: Path) -> None:
        copy_new(source, target)
        source.with_name("next").write_bytes(b"the next")
        source.with_name("next").replace(source)

    folder = source.parent / "disk"
    folder.mkdir()
    monkeypatch.setattr(moving, "copy_new", copy_slowly)
    move_new(source, folder / "photo.jpg")
    assert (folder / "photo.jpg").read_bytes() == b"photo"
    assert source.read_bytes() == b"the next"


def test_a_copy_that_fails_leaves_the_original_and_nothing_else(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "utime", full)
    with pytest.raises(OSError, match="space"):
        copy_new(source, source.with_name("copy.jpg"))
    assert list(source.parent.iterdir()) == [source]
