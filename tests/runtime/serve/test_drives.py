"""Drives that do not answer, scan folders that come and go, and whose the scans in them are."""

import asyncio
import errno
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import runtime.serve.media
import runtime.serve.scans
from base.errors import EngineError, PhotoError
from runtime.commands.options import RunOptions
from runtime.hotfolder.arrivals import Arrivals
from runtime.hotfolder.log import Log
from runtime.serve import hot_folder, kiosk_config
from runtime.serve.drive_calls import NoAnswerError, from_own_thread
from runtime.serve.errors import KioskError
from runtime.serve.media import _FRESH, Media
from runtime.serve.media_photos import Photo
from runtime.serve.opening import opened_kiosk
from runtime.serve.server import logging_failure
from runtime.serve.shared_restorer import SharedRestorer
from runtime.serve.visits import line, studio
from runtime.serve.visits.line import Line
from runtime.serve.visits.studio import Studio
from tests.runtime.serve.conftest import LONGEST, Server, config, plain_jpeg, serving


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], "Hanging"]]:
    """Let listings of a folder hang until they are released."""
    found: list[Hanging] = []
    scandir = os.scandir

    def hang(folder: Path) -> Hanging:
        hanging = Hanging()
        found.append(hanging)

        def asked(path: Any = ".") -> Any:
            if path in (folder, str(folder)):
                hanging.wait()
            return scandir(path)

        monkeypatch.setattr(os, "scandir", asked)
        monkeypatch.setattr(runtime.serve.scans, "ANSWER", 0.3)
        return hanging

    yield hang
    for each in found:
        each.release()


class Hanging:
    """Something that does not answer until it is released."""

    def __init__(self) -> None:
        self.is_asked, self._answers = threading.Event(), threading.Event()
        self.has_answered = False

    def wait(self) -> None:
        """Do not answer."""
        self.is_asked.set()
        self._answers.wait(LONGEST)
        self.has_answered = True

    def release(self) -> None:
        self._answers.set()


class Scanner:
    """Scan folders, and what the customer sees who came last."""

    def __init__(self, *folders: Path, log: Callable[[str, str], None] = lambda *_: None) -> None:
        self.now = 1000.0
        self.began = float("inf")
        self.folder = folders[0]
        self.media = Media(
            kiosk_config.Media(sticks=(), scans=folders, delete_scans=True),
            max_megabytes=1,
            max_megapixels=1,
            since=lambda: self.began,
            clock=lambda: self.now,
            log=log,
        )

    def customer(self) -> None:
        """Let a customer come."""
        self.now += 10
        self.began = self.now
        self.media.look()
        self.now += 10

    def scan(self, name: str) -> None:
        (self.folder / name).write_bytes(plain_jpeg(len(name)))
        self.now += 10

    def seen(self) -> list[str]:
        """Look for scans as at the begin of a visit; return those that the customer sees."""
        self.media.look()
        return self.poll()

    def poll(self) -> list[str]:
        """Return the scans that the customer sees."""
        for medium in self.media._media.values():
            medium.searched = float("-inf")
        self.media.about()
        return sorted(
            photo.path.name for each in self.media._media.values() for photo in self.media._shown(each)
        )


def test_a_scan_folder_that_hangs_blocks_neither_visits_nor_the_end(
    wanted: RunOptions, tmp_path: Path, hanging: Callable[[Path], Hanging]
) -> None:
    before = threading.enumerate()  # a browser of other tests, for example
    scans = tmp_path / "scans"
    scans.mkdir()
    settings = config(media=kiosk_config.Media(sticks=(), scans=(scans,), delete_scans=True))
    with opened_kiosk(tmp_path / "own", settings, wanted, Log("text")) as kiosk:
        with serving(kiosk) as server:
            drive = hanging(scans)
            assert drive.is_asked.wait(LONGEST)  # since the server itself looks for scans
            first, second = server.customer(), server.customer()
            assert first.bring(plain_jpeg(90))["state"] == "ready"
            assert len(server.client.get("/api/media").json()["media"]) == 1
            for each in (first, second):
                assert each.client.delete(each.path).status_code == 204
            assert server.files == []
        assert not drive.has_answered
        left = [each.name for each in threading.enumerate() if each not in before]
        assert not [name for name in left if "AnyIO" in name or "asyncio" in name]


def test_a_visit_that_fails_to_begin_takes_nobodys_place(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(server.kiosk.media, "look", fails)
        assert server.client.post("/api/visits").status_code == 500
    assert not server.kiosk.desk._visits
    server.customer()


def test_a_mount_that_hangs_does_not_hide_sticks_put_in_later(
    tmp_path: Path, hanging: Callable[[Path], Hanging], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, later = tmp_path / "user" / "broken", tmp_path / "later"
    folders, mounts = kiosk_config.Media(sticks=(tmp_path,)), {broken, Path("/"), tmp_path / "a" / "b" / "c"}
    media = Media(folders, max_megabytes=1, max_megapixels=1, mounts=lambda: mounts)
    for folder in (broken, later, tmp_path):
        folder.mkdir(parents=True, exist_ok=True)
        hanging(folder)
    monkeypatch.setattr(runtime.serve.media, "ANSWER", 0.1)
    assert [each.label for each in media.about().media] == ["broken"]
    mounts |= {later, later / "below"}
    assert [each.label for each in media.about().media] == ["broken", "later"]


def test_a_stick_that_hangs_does_not_block_another_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, good = tmp_path / "broken", tmp_path / "good"
    for stick in (broken, good):
        stick.mkdir()
        for i in range(12):
            (stick / f"{i}.jpg").write_bytes(plain_jpeg(i))
    media = Media(
        kiosk_config.Media(sticks=(tmp_path,)),
        max_megabytes=1,
        max_megapixels=1,
        mounts=lambda: {broken, good},
    )
    hanging, content = Hanging(), media._content

    def read(photo: Photo, medium: Any) -> bytes:
        if photo.path.is_relative_to(broken):
            hanging.wait()
        return content(photo, medium)

    monkeypatch.setattr(media, "_content", read)
    for name in ("about", "photos", "thumbnail"):
        monkeypatch.setattr(server.kiosk.media, name, getattr(media, name))

    def thumbnails(stick: str) -> list[str]:
        found = {each["label"]: each["id"] for each in server.client.get("/api/media").json()["media"]}
        photos = server.client.get(f"/api/media/{found[stick]}").json()["photos"]
        return [f"/api/media/photos/{photo['id']}/thumbnail" for photo in photos]

    with ThreadPoolExecutor(12) as pages:
        asked = [pages.submit(server.client.get, url) for url in thumbnails("broken")]
        try:
            assert hanging.is_asked.wait(LONGEST)
            assert [server.client.get(url).status_code for url in thumbnails("good")] == [200] * 12
            assert not hanging.has_answered
        finally:
            hanging.release()
        assert {each.result(LONGEST).status_code for each in asked} == {200}


@pytest.mark.parametrize("hanging_part", ["drive", "gpu"])
def test_a_hot_folder_that_hangs_does_not_keep_the_kiosk_from_ending(
    wanted: RunOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hanging_part: str,
) -> None:
    hanging = Hanging()

    def look(arrivals: Arrivals) -> None:
        hanging.wait()

    def restore(shared: SharedRestorer, *_: object) -> None:
        with shared.turn():
            hanging.wait()
        raise EngineError("the GPU has answered too late")

    (tmp_path / "in").mkdir()
    if hanging_part == "drive":
        monkeypatch.setattr(Arrivals, "look", look)
    else:
        (tmp_path / "in" / "photo.jpg").write_bytes(plain_jpeg(77))
        monkeypatch.setattr(SharedRestorer, "restore", restore)
    at_the_end: list[list[str]] = []
    settings = config(hot_folder=kiosk_config.HotFolder(tmp_path / "in", tmp_path / "out", "film-scan"))
    with quick_end(monkeypatch, hanging):
        with opened_kiosk(tmp_path / "own", settings, wanted, Log("text")) as kiosk, serving(kiosk) as server:
            assert hanging.is_asked.wait(LONGEST)
            customer = server.customer()
            assert customer.client.post(customer.path + "/photo", content=plain_jpeg(90)).status_code == 202
            assert server.files
            monkeypatch.setattr(Line, "stop", lambda line: at_the_end.append(server.files))
        assert at_the_end == [[]], "they are deleted before anything else is waited for"
        assert not server.files
        assert not hanging.has_answered
    assert "did not end within" in capsys.readouterr().err


def test_a_job_that_hangs_does_not_keep_the_kiosk_from_ending(
    wanted: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu = Hanging()

    def prepare(studio: Studio, *_: object) -> None:
        with studio._shared.turn():
            gpu.wait()

    monkeypatch.setattr(Studio, "prepare", prepare)
    with quick_end(monkeypatch, gpu):
        with opened_kiosk(tmp_path / "own", config(), wanted, Log("text")) as kiosk, serving(kiosk) as server:
            customer = server.customer()
            assert customer.client.post(customer.path + "/photo", content=plain_jpeg(90)).status_code == 202
            assert gpu.is_asked.wait(LONGEST)
            assert server.files
        assert not server.files
        assert not gpu.has_answered
    kiosk.desk.work.line._thread.join(LONGEST)
    assert "deleted" not in capsys.readouterr().err, "nothing is left that could not be deleted"


@contextmanager
def quick_end(monkeypatch: pytest.MonkeyPatch, hanging: Hanging) -> Iterator[None]:
    """Let nobody wait long for what hangs when a kiosk ends; release it at the end."""
    for module in (hot_folder, line, studio):
        monkeypatch.setattr(module, "_ENDING", 0.1)
    try:
        yield
    finally:
        hanging.release()


def test_a_lack_of_threads_does_not_end_deletion(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(work: Callable[[], object]) -> None:
        raise RuntimeError("can't start new thread")

    deleted: list[bool] = []
    delete = logging_failure(partial(from_own_thread, deleted.append, True), Log("text"))
    with ThreadPoolExecutor(1) as pool:  # a browser's loop may run in this one
        with monkeypatch.context() as patch:
            patch.setattr("runtime.serve.drive_calls.in_own_thread", refused)
            pool.submit(asyncio.run, delete()).result()
        assert "can't start new thread: trying again" in capsys.readouterr().err
        pool.submit(asyncio.run, delete()).result()
    assert deleted == [True]


def test_a_drive_that_never_answers_does_not_keep_a_process_from_ending() -> None:
    script = (
        "import time; from runtime.serve.drive_calls import *; drive = DriveCalls()\n"
        "for seconds in (0.1, 3600):\n"
        "    try: drive.do(lambda: time.sleep(3600), seconds)\n"
        "    except NoAnswerError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LONGEST)
    assert (done.returncode, done.stdout) == (0, "the drive does not answer\n" * 2), done.stderr


def test_scans_of_a_time_when_a_drive_did_not_answer_are_nobodys(
    tmp_path: Path, hanging: Callable[[Path], Hanging], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = Scanner(tmp_path)
    scanner.customer()
    drive = hanging(tmp_path)
    scanner.scan("earlier.jpg")
    scanner.customer()
    drive.release()
    monkeypatch.setattr(runtime.serve.scans, "ANSWER", LONGEST)
    assert not wait_for(lambda: scanner.media._scans._folders[tmp_path].drive._late)
    assert scanner.seen() == []
    scanner.scan("own.jpg")
    assert scanner.seen() == ["own.jpg"]


def test_a_scan_folder_that_always_answers_late_shows_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    scanner = Scanner(tmp_path, log=lambda event, sentence: lines.append(sentence))
    drive = scanner.media._scans._folders[tmp_path].drive
    scandir = os.scandir

    def slow(path: Any = ".") -> Any:
        time.sleep(0.1)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", slow)
    monkeypatch.setattr(runtime.serve.scans, "ANSWER", 0.05)
    scanner.customer()
    assert not wait_for(lambda: drive._late)
    scanner.scan("own.jpg")  # before the folder is listed a second time
    for _ in range(2):
        scanner.poll()
        assert not wait_for(lambda: drive._late)
    assert scanner.poll() == ["own.jpg"]
    assert not scanner.media.about().media[0].unknown
    assert len(lines) == 1
    assert "does not answer within" in lines[0]


def test_a_scan_that_a_slow_listing_met_as_a_customer_came_is_announced_and_not_shown(
    tmp_path: Path, hanging: Callable[[Path], Hanging], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = Scanner(tmp_path)
    drive = hanging(tmp_path)
    with pytest.raises(NoAnswerError):
        scanner.media.tidy(1000)
    scanner.customer()  # while that listing is under way, so that nothing is known of what came before
    scanner.scan("whose.jpg")
    drive.release()
    assert not wait_for(lambda: scanner.media._scans._folders[tmp_path].drive._late)
    monkeypatch.setattr(runtime.serve.scans, "ANSWER", LONGEST)
    assert scanner.poll() == []
    (medium,) = scanner.media.about().media
    assert (medium.photos, medium.unknown) == (0, True)
    scanner.scan("again.jpg")
    assert scanner.seen() == ["again.jpg"]
    scanner.customer()
    (medium,) = scanner.media.about().media
    assert (medium.photos, medium.unknown) == (0, False), "it came before this customer"


CLOCKS = pytest.mark.parametrize("clock", [0, -3600, 2, 3600], ids=["right", "slow", "a little fast", "fast"])


@CLOCKS
@pytest.mark.parametrize("place", [".", "known", "made/below"])
def test_earlier_scans_in_a_subfolder_that_is_moved_into_a_scan_folder_are_shown_to_nobody(
    tmp_path: Path, place: str, clock: float
) -> None:
    scans, old = tmp_path / "scans", tmp_path / "old" / "below"
    (scans / "known").mkdir(parents=True)
    old.mkdir(parents=True)
    (old / "earlier.jpg").write_bytes(plain_jpeg(1))
    (old.parent / "other.jpg").write_bytes(plain_jpeg(2))
    time.sleep(0.05)  # the system's own times of files lag behind by a few milliseconds
    with drive_clock(clock):
        scanner = Scanner(scans)
        scanner.customer()
        (scans / place).mkdir(parents=True, exist_ok=True)
        old.parent.rename(scans / place / "old")
        assert scanner.poll() == []
        assert scanner.media.about().media[0].unknown
        scanner.scan(f"{place}/old/below/own.jpg")
        assert scanner.poll() == ["own.jpg"]


@CLOCKS
def test_scans_in_subfolders_that_the_scanner_makes_are_shown(tmp_path: Path, clock: float) -> None:
    with drive_clock(clock):
        scanner = Scanner(tmp_path)
        scanner.customer()
        for name in ("first", "second"):
            time.sleep(0.05)
            (tmp_path / "2026" / name).mkdir(parents=True)
            time.sleep(0.05)
            scanner.scan(f"2026/{name}/{name}.jpg")
            scanner.poll()
        assert scanner.poll() == ["first.jpg", "second.jpg"]


def test_earlier_scans_that_are_sorted_or_whose_numbers_change_stay_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    scanner = Scanner(tmp_path)
    scanner.customer()
    scanner.scan("earlier.jpg")
    scanner.scan("renumbered.jpg")
    assert scanner.poll() == ["earlier.jpg", "renumbered.jpg"]
    scanner.customer()
    (tmp_path / "earlier.jpg").rename(tmp_path / "done" / "earlier.jpg")
    shutil.copy2(tmp_path / "renumbered.jpg", tmp_path / "copy.jpg")  # as network drives that keep no numbers
    (tmp_path / "copy.jpg").replace(tmp_path / "renumbered.jpg")
    scanner.scan("own.jpg")
    assert scanner.poll() == ["own.jpg"]


def test_scans_of_the_same_size_and_time_are_not_taken_for_each_other(tmp_path: Path) -> None:
    scanner = Scanner(tmp_path)

    def scan(name: str) -> None:
        (tmp_path / name).write_bytes(plain_jpeg(1))
        os.utime(tmp_path / name, (315532800, 315532800))
        scanner.poll()

    scanner.customer()
    scan("earlier.jpg")
    arrived = scanner.now
    scan("second.jpg")
    assert scanner.poll() == ["earlier.jpg", "second.jpg"]
    scanner.customer()
    scan("own.jpg")
    assert scanner.poll() == []
    assert scanner.media.about().media[0].unknown, "the customer is told"
    scanner.media.tidy(scanner.now - arrived)
    assert [path.name for path in tmp_path.iterdir()] == ["own.jpg"]


def test_a_scan_that_is_still_being_written_as_a_customer_comes_is_not_theirs(tmp_path: Path) -> None:
    scanner = Scanner(tmp_path)
    scanner.customer()
    content = plain_jpeg(1)
    (tmp_path / "earlier.jpg").write_bytes(content[:100])
    scanner.customer()
    for size in (200, None):
        (tmp_path / "earlier.jpg").write_bytes(content[:size])
        assert scanner.poll() == []
        assert scanner.media.about().media[0].unknown
    scanner.scan("scan.jpg")
    assert scanner.poll() == ["scan.jpg"]
    scanner.customer()
    scanner.poll()
    scanner.scan("scan.jpg")  # a scanner that always writes the same file
    assert scanner.poll() == ["scan.jpg"]


@pytest.mark.parametrize("size", [0, 60, None], ids=["empty", "partial", "no end"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP"])
def test_a_scan_that_stalls_before_a_customer_comes_is_not_theirs(
    tmp_path: Path, form: str, size: int | None
) -> None:
    picture, content = Image.open(io.BytesIO(plain_jpeg(1))), io.BytesIO()
    picture.save(content, form)
    whole = content.getvalue()
    if form == "TIFF":
        whole = whole[:4] + bytes(4) + whole[8:]
    scanner = Scanner(tmp_path)
    scanner.customer()
    scan = tmp_path / f"scan.{form.lower()}"
    scan.write_bytes(whole[:size] if size is not None else whole[:-20])
    scanner.poll()
    scanner.customer()
    scanner.now += 100
    scanner.poll()
    scan.write_bytes(content.getvalue())
    assert scanner.poll() == []
    assert scanner.media.about().media[0].unknown
    scanner.now += 10
    scanner.poll()
    scan.write_bytes(content.getvalue() + b"own")  # a scanner that always writes the same file
    assert scanner.poll() == [scan.name]


def test_a_scan_that_is_shown_while_it_is_written_is_shown_again_once_it_is_complete(tmp_path: Path) -> None:
    scanner = Scanner(tmp_path)
    scanner.customer()
    (tmp_path / "own.jpg").write_bytes(plain_jpeg(1)[:300])
    scanner.poll()
    medium = scanner.media.about().media[0].id
    (early,) = scanner.media.photos(medium, 0).photos
    with pytest.raises(PhotoError):
        scanner.media.thumbnail(early.id, 64)
    (tmp_path / "own.jpg").write_bytes(plain_jpeg(1))
    with pytest.raises(KioskError, match="still being written"):
        scanner.media.thumbnail(early.id, 64)
    scanner.poll()
    (complete,) = scanner.media.photos(medium, 0).photos
    assert complete.id != early.id, "so that the page asks for its picture again"
    (tmp_path / "own.jpg").chmod(0o640)
    scanner.poll()
    scanner.media.thumbnail(complete.id, 64)


def test_scans_that_came_while_their_drive_failed_for_a_moment_are_shown(tmp_path: Path) -> None:
    scanner = Scanner(tmp_path)
    scanner.customer()
    with unreadable(tmp_path):
        scanner.scan("own.jpg")
        assert scanner.poll() == []
    assert scanner.seen() == ["own.jpg"]
    with unreadable(tmp_path):
        scanner.scan("earlier.jpg")
        scanner.customer()
    assert scanner.seen() == []


@CLOCKS
def test_the_first_scan_in_a_folder_that_the_scanner_makes_is_shown(tmp_path: Path, clock: float) -> None:
    with drive_clock(clock):
        scanner = Scanner(tmp_path / "scans")
        scanner.customer()
        time.sleep(0.05)  # the system's own times of files lag behind by a few milliseconds
        scanner.folder.mkdir()
        time.sleep(0.05)
        scanner.scan("first.jpg")
        assert scanner.seen() == ["first.jpg"]


@CLOCKS
def test_earlier_scans_in_a_renamed_folder_are_shown_to_nobody(tmp_path: Path, clock: float) -> None:
    with drive_clock(clock):
        scanner, elsewhere = Scanner(tmp_path / "scans"), tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "earlier.jpg").write_bytes(plain_jpeg(1))
        os.utime(elsewhere / "earlier.jpg", (time.time() + 100,) * 2)  # the scanner's own clock is fast
        time.sleep(0.05)
        scanner.customer()
        elsewhere.rename(scanner.folder)
        assert scanner.seen() == []
        scanner.scan("own.jpg")
        assert scanner.seen() == ["own.jpg"]


def test_a_folder_on_a_drive_mounted_later_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    drive, mounted = tmp_path / "drive", tmp_path / "mounted"
    drive.mkdir()
    (mounted / "scans").mkdir(parents=True)
    scanner = Scanner(drive / "scans")
    (mounted / "scans" / "earlier.jpg").write_bytes(plain_jpeg(1))
    scanner.customer()
    drive.rmdir()
    mounted.rename(drive)
    assert scanner.seen() == []
    scanner.scan("own.jpg")
    assert scanner.seen() == ["own.jpg"]


def test_scans_in_a_part_that_could_not_be_read_are_shown_to_nobody(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "earlier.jpg").write_bytes(plain_jpeg(1))
    with unreadable(part):
        scanner = Scanner(tmp_path)
        scanner.customer()
        scanner.scan("own.jpg")
        assert scanner.seen() == ["own.jpg"]
    assert scanner.seen() == ["own.jpg"]
    scanner.scan("second.jpg")
    assert scanner.seen() == ["own.jpg", "second.jpg"]


def test_a_moments_error_on_one_scan_hides_no_scan(tmp_path: Path) -> None:
    scanner, lstat, refuses = Scanner(tmp_path), Path.lstat, {"own.jpg"}
    scanner.customer()
    scanner.scan("own.jpg")

    def refused(path: Path) -> os.stat_result:
        if path.name in refuses:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return lstat(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "lstat", refused)
        assert scanner.poll() == []
    scanner.scan("second.jpg")
    assert scanner.poll() == ["own.jpg", "second.jpg"]
    scanner.scan("third.jpg")
    refuses = {"third.jpg"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "lstat", refused)
        scanner.customer()
    scanner.scan("fourth.jpg")
    assert scanner.poll() == ["fourth.jpg"], (
        "what the kiosk could not read when a customer came is not theirs"
    )


def test_a_part_that_could_not_be_read_hides_no_scans_elsewhere(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "earlier.jpg").write_bytes(plain_jpeg(1))
    with unreadable(part):
        scanner = Scanner(tmp_path)
        scanner.customer()
    scanner.scan("own.jpg")
    assert scanner.poll() == ["own.jpg"]


def test_scans_that_are_gone_are_not_remembered_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.serve.scans, "_MOST_GONE", 3)
    scanner = Scanner(tmp_path)
    for i in range(10):
        scanner.customer()
        scanner.scan(f"{i}.jpg")
        assert scanner.seen() == [f"{i}.jpg"]
        (tmp_path / f"{i}.jpg").unlink()
        scanner.media.look()
    assert len(scanner.media._scans._scans) == 3
    time.sleep(_FRESH)
    scanner.media.about()
    assert not scanner.media._ids
    assert not scanner.media._paths


@contextmanager
def drive_clock(offset: float) -> Iterator[None]:
    """Let a drive's clock be fast by this many seconds."""

    def wrong(about: os.stat_result) -> os.stat_result:
        return SimpleNamespace(  # type: ignore[return-value]
            **{
                name: getattr(about, name)
                for name in ("st_mode", "st_dev", "st_ino", "st_size", "st_mtime_ns")
            },
            st_mtime=about.st_mtime + offset,
            st_ctime=about.st_ctime + offset,
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "stat", lambda path, **given: wrong(os.stat(path, **given)))  # noqa: PTH116
        patch.setattr(Path, "lstat", lambda path: wrong(os.lstat(path)))
        yield


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Let a folder be unreadable, also for a superuser."""
    scandir = os.scandir

    def refused(path: Any = ".") -> Any:
        if path in (folder, str(folder)):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        yield


def wait_for(over: Callable[[], Any]) -> Any:
    """Wait until a value is false; return it."""
    ends = time.monotonic() + LONGEST
    while (value := over()) and time.monotonic() < ends:
        time.sleep(0.01)
    return value
