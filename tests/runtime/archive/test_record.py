"""Which runs may write into a sink."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from base.errors import PhotoError, SettingsError
from runtime.archive.place import Place, place_of
from runtime.archive.record import RECORD, alone_in, check_record, record_of, write_record
from runtime.archive.worker import Work

pytest.importorskip("pyarrow")


def work_into(sink: Path) -> Work:
    none = cast(Any, None)
    return Work(place_of(str(sink / "photos")), place_of(str(sink)), none, 60, False, False)


def test_of_two_runs_that_begin_at_once_one_sees_the_others_settings(
    tmp_path: Path,
) -> None:
    work = work_into(tmp_path / "out")
    assert not check_record(work, {"strength": 1})
    assert not check_record(work, {"strength": 0.5})  # the other run, at the same moment
    with alone_in(work.sink):
        assert not check_record(work, {"strength": 1})  # its own lock makes the folder no foreign one
        write_record(work, {"strength": 1})
    with alone_in(work.sink), pytest.raises(SettingsError, match=r"strength 1, now 0\.5"):
        check_record(work, {"strength": 0.5})


def test_a_run_that_was_killed_before_it_had_a_record_can_be_repeated(tmp_path: Path) -> None:
    work = work_into(tmp_path)
    with alone_in(work.sink):
        pass
    (tmp_path / "gpen-edge-run" / ".gpen-edge-0123456789abcdef.tmp").touch()
    assert not check_record(work, {})


@pytest.mark.parametrize("name", ["photo.jpg", "gpen-edge-run/photo.jpg", ".hidden"])
def test_a_folder_with_anything_else_is_refused(tmp_path: Path, name: str) -> None:
    work = work_into(tmp_path)
    with alone_in(work.sink):
        (tmp_path / name).touch()
        with pytest.raises(PhotoError, match="is not empty"):
            check_record(work, {})


def test_a_record_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.archive.record.as_json", lambda _: {"settings": {}, "settings_by_face": []})
    package = SimpleNamespace(manifest=SimpleNamespace(graphs={}, name="default"))
    work = Work(Place("s3://KEY:SECRET@bucket/x"), Place("/out"), SimpleNamespace(resolved=0, detector=0))  # type: ignore[arg-type]
    assert record_of(work, package)["source"] == "s3://bucket/x"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "source"),
    [("file:///a%20b", "/a b"), ("s3://KEY:SECRET@bucket/x", "s3://NEW:KEY@bucket/x")],
)
def test_a_run_continues_whose_record_has_the_uri_as_given(tmp_path: Path, before: str, source: str) -> None:
    work = work_into(tmp_path)
    write_record(work, {"source": before})
    assert check_record(work, {"source": Place(source).shown})
    with pytest.raises(SettingsError, match="source"):
        check_record(work, {"source": "/elsewhere"})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_record_is_reported(tmp_path: Path, content: bytes) -> None:
    work = work_into(tmp_path)
    (tmp_path / "gpen-edge-run").mkdir()
    (tmp_path / RECORD).write_bytes(content)
    with pytest.raises(PhotoError, match="is damaged"):
        check_record(work, {})
