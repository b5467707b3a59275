"""Numbered names: distinct, short enough for any file system, and folders that give way to files."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.hotfolder.names import first_free, is_refused, make_folder, numbered, plain

NAMES = (
    st.binary(min_size=1, max_size=255)
    .map(os.fsdecode)
    .filter(lambda name: not set("/\0") & set(name) and name not in (".", ".."))
)


@given(NAMES, st.sets(st.integers(1, 99_999), min_size=2, max_size=6))
def test_numbered_names_are_distinct_and_leave_room_for_a_reason(name: str, numbers: set[int]) -> None:
    made = {numbered(Path("folder", name), number) for number in numbers}
    assert len(made) == len(numbers)
    for path in made:
        assert path.parent == Path("folder")
        assert len(os.fsencode(f"{path.name}.json")) <= 255
        if len(os.fsencode(name)) < 100:
            assert path.suffix == Path(name).suffix


@given(NAMES.filter(lambda name: len(os.fsencode(name)) < 200))
def test_the_first_is_the_name_itself(name: str) -> None:
    assert numbered(Path(name), 1) == Path(name)


@given(st.sets(st.integers(1, 20)), st.integers(0, 20))
def test_the_first_free_number_is_the_least_above_the_last(taken: set[int], after: int) -> None:
    found = first_free(lambda number: number not in taken, after)
    assert found > after
    assert found not in taken
    assert set(range(after + 1, found)) <= taken


def test_folders_are_made_where_files_leave_their_names_and_found_again(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a-2").symlink_to("nowhere")
    made = make_folder(tmp_path, Path("a", "b"))
    assert made == Path("a-3", "b")
    assert (tmp_path / made).is_dir()
    assert make_folder(tmp_path, Path("a", "b")) == make_folder(tmp_path, tmp_path / "a" / "b") == made
    assert (tmp_path / "a").is_file()


def test_no_folder_is_made_where_the_root_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_folder(tmp_path / "unmounted", Path("a"))
    assert list(tmp_path.iterdir()) == []


def test_folders_too_deep_for_files_in_them_are_left_out(tmp_path: Path) -> None:
    made = make_folder(tmp_path, Path(*["x" * 100] * 60))
    assert 30 < len(made.parts) < 60
    (tmp_path / made / ("y" * 255)).touch()


@given(NAMES, st.integers(1, 99999))
def test_a_plain_name_is_short_is_not_refused_and_has_its_suffix(name: str, number: int) -> None:
    short = numbered(Path(plain(f"{name}.png")), number).name
    assert short.isascii()
    assert len(short) <= 80
    assert short.endswith(".png")
    assert not is_refused(OSError(errno.EINVAL, "refused"), short)
    assert is_refused(OSError(errno.EINVAL, "refused"), f":{short}")
    assert not is_refused(OSError(errno.EIO, "broken"), f":{short}")
