"""The photos of an archive, where their results go, and where files come from and go to."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from base.errors import PhotoError
from base.text import folded
from runtime.archive.listing import Listed, check_names, list_photos, output_of, sample_of
from runtime.archive.place import Place, _number_of, name_within, place_of
from runtime.commands.failure_cause import cause_behind
from runtime.commands.same_file import exactly
from tests.runtime.archive.object_store import AnswerError

fs = pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed: pip install 'gpen-edge[archive]'")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))


def test_photos_of_all_subfolders_are_listed_but_no_hidden_ones(tmp_path: Path) -> None:
    touch(
        tmp_path, "b.JPG", "a/c.tiff", "a/notes.txt", ".trash/d.png", "a/._c.tiff", "out/e.png", "out2/f.png"
    )
    found = list_photos(place_of(str(tmp_path)), place_of(str(tmp_path / "out")))
    assert [(photo.path, photo.output, photo.size) for photo in found] == [
        ("a/c.tiff", "a/c.tiff", 8),
        ("b.JPG", "b.JPG", 5),
        ("out2/f.png", "out2/f.png", 10),
    ]


def test_results_have_names_of_their_own_whatever_photos_arrive_later() -> None:
    outputs = {
        "s.heic": "s.heic.jpg",
        "s.heic.jpg": "s.heic.jpg.jpg",
        "s.heic.jpg.jpg": "s.heic.jpg.jpg.jpg",
        "s.heic.PNG": "s.heic.PNG.PNG",
        "s.gif": "s.gif.png",
        "s.gif.png": "s.gif.png.png",
        "s.png": "s.png",
        "s.jpg": "s.jpg",
        "t.mpo": "t.mpo.jpg",
        "u.HEIC": "u.HEIC.jpg",
        "v.avif": "v.avif.jpg",
    }
    assert {name: output_of(name) for name in outputs} == outputs


@pytest.mark.parametrize(
    ("source", "sink", "said"),
    [
        ("album", "album", "the archive itself"),
        ("nowhere", "out", "does not exist"),
        ("album/a.png", "out", "is a file"),
        ("empty", "out", "holds no photo"),
        ("unknown://place", "out", "cannot open unknown://place"),
    ],
)
def test_a_source_that_is_none_is_explained(tmp_path: Path, source: str, sink: str, said: str) -> None:
    touch(tmp_path, "album/a.png", "empty/notes.txt")
    places = [place_of(each if "://" in each else str(tmp_path / each)) for each in (source, sink)]
    with pytest.raises(PhotoError, match=said):
        list_photos(*places)


def test_a_sample_has_photos_of_all_sizes() -> None:
    photos = [Listed(f"{i}.jpg", f"{i}.jpg", (i * 37) % 100) for i in range(100)]
    sizes = [photo.size for photo in sample_of(photos, 10)]
    assert sizes == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert len(sample_of(photos, 1000)) == 100


def test_a_name_that_no_table_holds_is_listed_all_the_same(tmp_path: Path) -> None:
    try:
        touch(tmp_path, "caf\udce9.png")
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    (photo,) = list_photos(place_of(str(tmp_path)), place_of(str(tmp_path / "out")))
    assert photo.path == "caf\\udce9.png"


@pytest.mark.parametrize("kind", ["path", "uri", "store"])
def test_places_give_back_what_was_written(tmp_path: Path, kind: str) -> None:
    uris = {"path": str(tmp_path), "uri": f"file://{tmp_path}", "store": f"memory://{tmp_path.name}"}
    place = place_of(uris[kind])
    for content in (b"first", b"second"):
        place.write("a/b c.bin", content)
        assert place.read("a/b c.bin") == content
    place.write("d.bin", b"")
    assert sorted(place.files()) == [("a/b c.bin", 6), ("d.bin", 0)]
    assert place.exists("d.bin")
    assert not place.exists("a")
    assert sorted(place.names()) == ["a", "d.bin"]
    assert place.within("a").read("b c.bin") == b"second"
    assert place.within("none").names() == []
    assert place.within("none").is_empty()
    assert not place.is_empty()
    with pytest.raises(PhotoError, match=r"none\.bin does not exist"):
        place.read("none.bin")


def test_results_that_would_be_one_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, sink = ("a/IMG.JPG", "a/img.jpg", "b.png"), place_of(str(tmp_path / "out"))
    photos = [Listed(name, output_of(name), 1) for name in names]
    monkeypatch.setattr("runtime.commands.same_file.folding_of", lambda folder: folded)
    with pytest.raises(PhotoError, match=r"of a/IMG\.JPG and a/img\.jpg would be one file in"):
        check_names(photos, sink)
    check_names(photos[1:], sink)
    check_names(photos, Place("s3://bucket/out"))
    monkeypatch.setattr("runtime.commands.same_file.folding_of", lambda folder: exactly)
    check_names(photos, sink)


def test_the_uri_of_a_folder_of_this_machine_is_its_path(tmp_path: Path) -> None:
    assert place_of("file:///a%20b/c/") == place_of("file://localhost/a b/c") == Place("/a b/c")
    for text in ("file://a/b", "file://a", "file://", "file://localhost"):
        with pytest.raises(PhotoError, match="names no folder of this machine"):
            place_of(text)


def test_the_uri_of_a_folder_on_windows_is_read_as_windows_does(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"/C:/a%20b": "/as Windows has it"}
    monkeypatch.setattr("runtime.archive.place.url2pathname", names.__getitem__)
    assert place_of("file:///C:/a%20b") == Place("/as Windows has it")


def test_a_file_is_no_place_and_an_error_names_the_whole_path(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    with pytest.raises(PhotoError, match=f"^cannot list {tmp_path}/file: Not a directory$"):
        place_of(f"{tmp_path}/file").names()
    with pytest.raises(PhotoError, match=f"^cannot list {tmp_path}/file: Not a directory$"):
        place_of(f"{tmp_path}/file").is_empty()
    with pytest.raises(PhotoError, match=f"^cannot use {tmp_path}/file/x/y: Not a directory$"):
        place_of(f"{tmp_path}/file").within("x").write("y", b"")


@pytest.mark.parametrize(
    ("error", "read", "written"),
    [
        (OSError("timeout was reached"), "unreadable", "output"),
        (PermissionError("access denied"), "unreadable", "output"),
        (FileNotFoundError("no such key"), "gone", "output"),
        (OSError(errno.ENOSPC, "full"), "disk-full", "disk-full"),
        (AnswerError(), "unreadable", "output"),
        (AnswerError(403), "unreadable", "output"),
        (AnswerError(404), "gone", "output"),
        (AnswerError(503), "unreadable", "output"),
        (AnswerError(507), "disk-full", "disk-full"),
    ],
)
def test_errors_of_object_stores_are_no_faults_of_the_photo(
    monkeypatch: pytest.MonkeyPatch, error: Exception, read: str, written: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    store = SimpleNamespace(type_name="s3", open_input_file=fail, open_output_stream=fail, delete_file=fail)
    monkeypatch.setattr(Place, "_opened", (store, "bucket"))
    place = Place("s3://bucket")
    with pytest.raises(PhotoError) as reading:
        place.read("a.jpg")
    with pytest.raises(PhotoError) as writing:
        place.write("a.jpg", b"")
    assert cause_behind(reading.value, "read") == read
    assert cause_behind(writing.value, "write") == written
    for said in (str(reading.value), str(writing.value)):
        assert "\n" not in said
        assert "WHO" not in said
        assert "SECRET" not in said


@pytest.mark.parametrize("code", [403, "403"])
def test_answers_of_stores_are_known_by_the_names_of_several_libraries(code: object) -> None:
    for name in ("status", "code", "status_code"):
        error = AnswerError()
        setattr(error, name, code)
        assert _number_of(error) == errno.EACCES


def test_a_store_that_fails_is_explained_whatever_it_is_asked(store: Any) -> None:
    place = Place("stand-in://bucket/photos")
    place.write("a.jpg", b"x")
    store.refuses |= {"list": AnswerError(), "read": AnswerError(), "write": AnswerError(507)}
    for ask in (
        place.names,
        place.is_empty,
        lambda: list(place.files()),
        lambda: place.exists("a.jpg"),
        lambda: place.read("a.jpg"),
        lambda: place.write("b.jpg", b""),
        lambda: place.check_writable("own"),
    ):
        with pytest.raises(
            PhotoError, match=r"^cannot (list|use|read) .*: refused by https://host/a\.jpg\?$"
        ):
            ask()


def test_what_a_store_remembers_is_asked_again(store: Any) -> None:
    place, another = Place("stand-in://bucket/photos"), Place("stand-in://bucket/photos")
    for _ in range(2):
        assert place.is_empty()
        assert not place.exists("a.jpg")
    another.write("a.jpg", b"x")
    assert not place.is_empty()
    assert place.exists("a.jpg")
    store.refuses["list"] = AnswerError()
    with pytest.raises(PhotoError, match="cannot list"):
        place.is_empty()


def test_a_store_that_cannot_be_opened_says_why(monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    def refuse(_: Any) -> None:
        raise AnswerError(401)

    monkeypatch.setattr(store, "__init__", refuse)
    with pytest.raises(PhotoError, match=r"^cannot open stand-in://bucket: refused by https"):
        Place("stand-in://bucket").names()


def test_a_folder_is_not_listed_to_see_that_it_is_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "empty").mkdir()
    store = SimpleNamespace(
        type_name="s3", get_file_info=lambda path: fs.FileInfo(path, fs.FileType.Directory)
    )
    monkeypatch.setattr(Place, "names", lambda place: pytest.fail("it was listed"))
    assert not place_of(str(tmp_path)).is_empty()
    assert place_of(str(tmp_path / "empty")).is_empty()
    monkeypatch.setattr(Place, "_opened", (store, "bucket"))
    assert not Place("s3://bucket").is_empty()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://KEY:SEC/RET@bucket/a@b", "s3://bucket/a@b"),
        ("s3://KEY:/SECRET@bucket", "s3://bucket"),
        ("s3://bucket/x?access_key=a&region=eu&secret_key=b", "s3://bucket/x?region=eu&"),
        (
            "abfs://container@account.dfs.core.windows.net/x",
            "abfs://container@account.dfs.core.windows.net/x",
        ),
        ("hdfs://node:8020/a@b", "hdfs://node:8020/a@b"),
        ("/a?key=b", "/a?key=b"),
    ],
)
def test_passwords_and_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch, uri: str, shown: str) -> None:
    assert Place(uri).shown == shown

    def fail(*_: Any) -> None:
        raise OSError(f"no answer from {uri}")

    store = SimpleNamespace(type_name="s3", get_file_info=fail)
    monkeypatch.setattr(Place, "_opened", (store, "bucket"))
    monkeypatch.setattr(Place, "local", None)
    for what in (Place(uri).names, Place(uri).is_empty, lambda: list(Place(uri).files())):
        with pytest.raises(PhotoError) as found:
            what()
        assert "SEC" not in str(found.value)
        assert "secret_key" not in str(found.value)


def test_an_uri_that_cannot_be_opened_is_shown_without_its_password() -> None:
    with pytest.raises(PhotoError, match=r"^cannot open s3://bucket\.\[: ") as found:
        Place("s3://KEY:SEC/RET@bucket.[").names()
    assert "RET" not in str(found.value)


def test_a_place_knows_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    here = place_of(str(tmp_path))
    assert name_within(here, place_of(str(tmp_path / "link" / "out"))) == "out"
    assert name_within(here, Place(f"{tmp_path}-out")) is None
    assert name_within(Place("s3://bucket/a"), Place("s3://bucket/a/out")) == "out"
    assert name_within(here, Place("s3://bucket")) is None
    assert name_within(Place("s3://bucket/a?region=eu"), Place("s3://bucket/a/out?region=eu")) == "out"
    assert Place("s3://bucket/a?region=eu").within("b") == Place("s3://bucket/a/b?region=eu")
    assert Place("/a?b").within("c") == Place("/a?b/c")
