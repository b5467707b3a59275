"""The photos of an archive, restored without Ray: the same files as `runtime.restore`, and a row for each."""

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from base.errors import BackendError, DeviceLostError, PhotoError
from runtime.archive.listing import list_photos
from runtime.archive.options import parser
from runtime.archive.place import Place, place_of
from runtime.archive.worker import MOST_CRASHES, NoTally, Work, Worker
from runtime.commands.options import run_options
from runtime.restore import main as restore
from runtime.whole_photo import restore_photo
from tests.runtime.archive.object_store import AnswerError

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'gpen-edge[archive]'")
pytestmark = pytest.mark.usefixtures("any_colours")

Album = Callable[..., Path]
NAMES = ("a.jpg", "b.png", "c/deep.tif", "c/broken.jpg", "d.gif", "e.webp")


class Remembering(NoTally):
    """A tally of crashes that happened before."""

    def __init__(self, crashed: dict[str, int]) -> None:
        self.crashed, self.begun = crashed, list[str]()

    def crashes(self, paths: Sequence[str]) -> dict[str, int]:
        return {path: self.crashed[path] for path in paths if path in self.crashed}

    def begin(self, path: str) -> None:
        self.begun.append(path)


def work_of(source: Path, package: Path, *options: str) -> Work:
    sink = source.parent / "out"
    given = [str(source), "-o", str(sink), "--model", str(package), "--backend", "onnxruntime"]
    wanted = run_options(parser().parse_args([*given, "--threads", "1", *options]))
    return Work(place_of(str(source)), place_of(str(sink)), wanted)


def test_files_are_those_of_restore_and_each_photo_has_a_row(album: Album, tiny_package: Path) -> None:
    source = album(*NAMES)
    work = work_of(source, tiny_package, "--preset", "film-scan")
    worker = Worker(work)
    rows = {row["path"]: row for row in worker.rows(list_photos(work.source, work.sink))}
    worker.close()
    assert sorted(rows) == sorted(NAMES)
    expected = source.parent / "expected"
    options = ["--recursive", "--preset", "film-scan", "--model", str(tiny_package), "--threads", "1"]
    assert restore([str(source), "-o", str(expected), *options, "--backend", "onnxruntime"]) == 3
    for name, row in rows.items():
        photo = (source / name).read_bytes()
        if "broken" in name:
            assert (row["outcome"], row["cause"]) == ("failed", "photo")
            assert "damaged" in row["error"]
            assert name in row["error"]
            continue
        written = (source.parent / "out" / row["output"]).read_bytes()
        usual = name if name != "d.gif" else "d.png"
        assert written == (expected / usual).read_bytes()
        assert row["sha256"] == hashlib.sha256(photo).hexdigest()
        assert row["output_sha256"] == hashlib.sha256(written).hexdigest()
        assert (row["bytes"], row["output_bytes"]) == (len(photo), len(written))
        assert row["faces"] == 1
        assert {"read_ms", "detect_ms", "network_ms", "write_ms"} <= row.keys()
    assert len([path for path in (source.parent / "out").rglob("*") if path.is_file()]) == 5


def test_a_row_says_what_a_result_does_not_hold(
    album: Album, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = album("a.jpg", "moving.webp")
    with Image.open(source / "a.jpg") as still:
        still.save(source / "moving.webp", save_all=True, append_images=[still.rotate(90)])

    def change(*given: Any, **options: Any) -> Any:
        whole, result = restore_photo(*given, **options)
        return replace(whole, content=None), result

    monkeypatch.setattr("runtime.archive.worker.restore_photo", change)
    work = work_of(source, tiny_package)
    rows = Worker(work).rows(list_photos(work.source, work.sink))
    said = "the file is an animation; only its first frame was restored and written"
    assert [row["remarks"] for row in rows] == [[], [said]]


def test_a_measured_sample_writes_nothing(album: Album, tiny_package: Path) -> None:
    work = replace(work_of(album("a.jpg"), tiny_package), writes=False)
    (row,) = Worker(work).rows(list_photos(work.source, work.sink))
    assert row["output_bytes"] > 0
    assert not place_of(work.sink.uri).local.exists()  # type: ignore[union-attr]


def test_a_photo_that_ends_the_process_again_and_again_is_given_up(album: Album, tiny_package: Path) -> None:
    work = work_of(album("a.jpg", "b.jpg", "c.jpg"), tiny_package)
    tally = Remembering({"b.jpg": MOST_CRASHES, "c.jpg": MOST_CRASHES - 1})
    rows = Worker(work, tally).rows(list_photos(work.source, work.sink))
    assert [row["outcome"] for row in rows] == ["restored", "failed", "restored"]
    assert rows[1]["cause"] == "crash"
    assert tally.begun == ["a.jpg", "c.jpg"]


def test_a_lost_gpu_ends_the_process_and_fails_no_photo(
    album: Album, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, tally = work_of(album("a.jpg", "b.jpg"), tiny_package), Remembering({})
    worker, photos = Worker(work, tally), list_photos(work.source, work.sink)

    def lose(*_: Any, **__: Any) -> None:
        raise BackendError("the photo network failed") from DeviceLostError("cuda:0 was lost")

    with monkeypatch.context() as lost:
        lost.setattr("runtime.archive.worker.restore_photo", lose)
        with pytest.raises(DeviceLostError, match="cuda:0 was lost"):
            worker.rows(photos)
    begun = len(tally.begun)
    worker._note_device(SimpleNamespace(backend=SimpleNamespace(device="another")))  # type: ignore[arg-type]
    with pytest.raises(DeviceLostError):  # a new process gets the GPU back
        worker.rows(photos)
    assert len(tally.begun) == begun


def test_a_full_disk_ends_the_run_and_another_error_is_a_row(
    album: Album, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_of(album("a.jpg", "b.jpg"), tiny_package)
    worker, photos = Worker(work), list_photos(work.source, work.sink)
    numbers, refused, write = [errno.EACCES], [".jpg"], Place.write

    def refuse(place: Place, name: str, content: bytes) -> None:
        number = numbers[0]
        if not name.endswith(refused[0]):
            return write(place, name, content)
        why = os.strerror(number)
        raise PhotoError(f"cannot use {place.uri}/{name}: {why}") from OSError(number, why)

    monkeypatch.setattr("runtime.archive.place.Place.write", refuse)
    rows = worker.rows(photos)
    assert [(row["outcome"], row["cause"]) for row in rows] == [("failed", "output")] * 2
    assert rows[0]["sha256"]
    refused[0] = ""  # nothing can be written any more: the share is gone
    with pytest.raises(PhotoError, match=r"^results cannot be written to .*/out: Permission denied; mend"):
        worker.rows(photos)
    numbers[0] = errno.ENOSPC
    with pytest.raises(PhotoError, match="free some space"):
        worker.rows(photos)


def test_a_photo_whose_drive_was_away_for_a_moment_is_restored(
    album: Album, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_of(album("a.jpg", "b.jpg"), tiny_package)
    worker, photos, read = Worker(work), list_photos(work.source, work.sink), Place.read
    away, source = ["b.jpg"], Path(work.source.uri)

    def reading(place: Place, name: str) -> bytes:
        if name in away:
            away.remove(name)
            (source / name).rename(source.with_name(name))
            try:
                return read(place, name)
            finally:
                source.with_name(name).rename(source / name)
        return read(place, name)

    monkeypatch.setattr("runtime.archive.place.Place.read", reading)
    assert [row["outcome"] for row in worker.rows(photos)] == ["restored"] * 2
    assert not away


@pytest.mark.parametrize("is_empty", [False, True])
def test_an_archive_that_is_gone_ends_the_run_and_a_lost_photo_is_a_row(
    album: Album, tiny_package: Path, is_empty: bool
) -> None:
    work = work_of(album("a.jpg", "b.jpg"), tiny_package)
    worker, photos = Worker(work), list_photos(work.source, work.sink)
    source = Path(work.source.uri)
    (source / "b.jpg").unlink()
    assert [row["outcome"] for row in worker.rows(photos)] == ["restored", "failed"]
    source.rename(source.with_name("away"))
    if is_empty:  # as the place of a drive that is not mounted
        source.mkdir()
    with pytest.raises(PhotoError, match="is gone or empty: when it is back, run the same command again"):
        worker.rows(photos)


def test_a_store_that_refuses_for_a_moment_costs_no_photo(
    album: Album, tiny_package: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, refused = in_store(album("a.jpg", "b.jpg"), tiny_package), list[str]()

    def refuse(_: Any, what: str) -> None:
        if what in ("read", "write") and refused.count(what) < 2:
            refused.append(what)
            raise AnswerError(503)

    worker, photos = Worker(work), list_photos(work.source, work.sink)
    monkeypatch.setattr(store, "_check", refuse)
    assert [row["outcome"] for row in worker.rows(photos)] == ["restored"] * 2
    assert sorted(refused) == ["read", "read", "write", "write"]
    assert sorted(name for name, _ in work.sink.files()) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (
            ("read", "list"),
            "^cannot list stand-in://photos: refused by https://host/a.jpg\\?: when it is back",
        ),
        (
            ("write",),
            "^results cannot be written to stand-in://out: refused by https://host/a.jpg\\?; mend that",
        ),
    ],
)
def test_a_store_that_is_gone_ends_the_run_and_one_that_refuses_a_photo_does_not(
    album: Album, tiny_package: Path, store: Any, gone: tuple[str, ...], said: str
) -> None:
    work = in_store(album("a.jpg", "b.jpg"), tiny_package)
    worker, photos = Worker(work), list_photos(work.source, work.sink)
    store.refuses["read"] = AnswerError(403)
    rows = worker.rows(photos)
    assert [(row["outcome"], row["cause"]) for row in rows] == [("failed", "unreadable")] * 2
    assert rows[0]["error"] == "a.jpg: cannot read a.jpg: refused by https://host/a.jpg?"
    store.refuses.clear()
    store.refuses |= dict.fromkeys(gone, AnswerError())
    with pytest.raises(PhotoError, match=said):
        worker.rows(photos)


def in_store(album: Path, package: Path) -> Work:
    """Return the work of an album in an object store."""
    source, sink = Place("stand-in://photos"), Place("stand-in://out")
    for photo in album.iterdir():
        source.write(photo.name, photo.read_bytes())
    return replace(work_of(album, package), source=source, sink=sink)
