"""Files that appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from base.errors import PhotoError
from base.files import write_atomically


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with write_atomically(path) as file:
        file.write(b"{}")
        assert not path.exists()
    assert path.read_bytes() == b"{}"
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_owner_sees_it_while_written_and_the_umask_rules_after(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    before = os.umask(0o027)
    try:
        with write_atomically(path) as file:
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_was_opened_while_others_might_read_it_never_has_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody opens whatever appears, as soon as its mode allows that."""
    opened: list[int] = []

    def peeping(path: Path | str | int) -> None:
        if isinstance(path, Path | str) and stat.S_IMODE(Path(path).stat().st_mode) & 0o077:
            opened.append(os.open(path, os.O_RDONLY))

    real_chmod, real_unlink, before = os.chmod, os.unlink, os.umask(0o022)
    monkeypatch.setattr(os, "chmod", lambda path, mode, **named: (peeping(path), real_chmod(path, mode)))
    monkeypatch.setattr(os, "unlink", lambda path: (peeping(path), real_unlink(path)))
    try:
        with write_atomically(tmp_path / "report.json") as file:
            file.write(b"{}")
            file.flush()
            assert not any(os.read(descriptor, 9) for descriptor in opened)
    finally:
        os.umask(before)
        for descriptor in opened:
            os.close(descriptor)
    assert (tmp_path / "report.json").read_bytes() == b"{}"


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")

    def write_half() -> None:
        with write_atomically(path) as file:
            file.write(b"half")
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_at_what_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with write_atomically(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_refusal_by_the_system_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"cannot write .*a\\nb.*: No such file") as error:
        write_atomically(tmp_path / "a\nb" / "report.json").__enter__()
    assert str(error.value).isprintable()


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with write_atomically(path) as file:
        file.write(b"1")
    assert path.exists()
