"""Everything of a customer is deleted in time: by the clock, by a button, and after a crash at any moment."""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from base.errors import BackendError, DeviceLostError
from runtime.commands.options import RunOptions
from runtime.hotfolder.log import Log
from runtime.serve.clock import Clocks, End
from runtime.serve.ending import Ending
from runtime.serve.errors import KioskError, ServeError
from runtime.serve.health import STUCK, HealthCheck
from runtime.serve.opening import opened_kiosk
from runtime.serve.server import KioskServer, listen
from runtime.serve.visits.desk import Desk
from runtime.serve.visits.line import Job, Line
from runtime.serve.visits.records import MOST_ATTEMPTS
from runtime.serve.visits.store import Store, VisitRow
from runtime.serve.visits.studio import Found, Made
from runtime.serve.visits.tokens import digest, new_token
from runtime.serve.visits.visit import Take, Visit
from runtime.serve.visits.visit_folder import VisitFolder, holding_folder, mounts_in
from runtime.serve.wire import Choice, FaceAbout, FaceWarnings
from runtime.timing import Progress
from tests.runtime.serve.conftest import LONGEST, Customer, config, plain_jpeg, serving

ROOT = Path(__file__).parents[3]
MINUTE = 60.0


class Times:
    """Clocks that a test moves: the time since the machine was started, and the time of day."""

    def __init__(self) -> None:
        self.now, self.wall, self.boot = 1000.0, 1.7e9, "first"

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def after_restart(self, wall: float) -> "Times":
        """Return the clocks after the machine was started again at a time of day."""
        then = Times()
        then.now, then.wall, then.boot = 20.0, wall, "second"
        return then


class Slow:
    """A studio that works as long as a test wants, and then writes what the real one would write."""

    default = "standard"

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.is_working = threading.Event()
        self.may_go_on.set()
        self.forgotten: list[str] = []
        self.lost: DeviceLostError | None = None

    def prepare(self, visit: str, file: Path, progress: Callable[[str, int, int], None]) -> Found:
        self._work(progress, "detect")
        return Found(64, 48, (), ())

    def make(
        self,
        visit: str,
        file: Path,
        choice: Choice,
        result: Callable[[str], Path],
        progress: Callable[[str, int, int], None],
    ) -> Made:
        self._work(progress, "paste")
        result(".jpg").write_bytes(file.read_bytes())
        return Made(64, 48, ".jpg", (FaceWarnings(0, ()),))

    def _work(self, progress: Callable[[str, int, int], None], stage: str) -> None:
        self.is_working.set()
        assert self.may_go_on.wait(30)
        progress(stage, 1, 1)

    def forget(self, visit: str) -> None:
        self.forgotten.append(visit)

    def close(self) -> None:
        pass


class Box:
    """A desk with its folder, whose time and work a test controls."""

    def __init__(self, folder: Path, times: Times) -> None:
        folder.mkdir(exist_ok=True)
        for name in ("visits", "takes", "prints"):
            (folder / name).mkdir(exist_ok=True)
        self.folder, self.times, self.studio = folder, times, Slow()
        self.store = Store(folder / "kiosk.sqlite")
        self.desk = Desk(
            VisitFolder(folder),
            self.store,
            self.studio,  # type: ignore[arg-type]
            config(),
            Log("text"),
            Clocks(lambda: times.now, lambda: times.wall, times.boot),
        )
        self.desk.recover()
        self.desk.work.line.start()

    def bring(self, token: str) -> None:
        visit = self.desk.visit(token)
        draft = self.desk.draft(visit)
        draft.write_bytes(plain_jpeg(100))
        self.desk.take_in(visit, draft)

    def state(self, token: str) -> str:
        return self.desk.visit(token).state

    def wait(self, until: Callable[[], bool]) -> None:
        ends = time.monotonic() + LONGEST
        while not until():
            assert time.monotonic() < ends
            time.sleep(0.005)

    def ready(self) -> str:
        token, _ = self.desk.open()
        self.bring(token)
        self.wait(lambda: self.state(token) == "ready")
        return token

    def done(self) -> str:
        token = self.ready()
        self.desk.choose(self.desk.visit(token), Choice("standard"))
        self.wait(lambda: self.result(token) == "done")
        return token

    def take(self, visit: Visit) -> Take:
        return self.desk.links.offer(visit, self.desk.result_file(visit))

    def result(self, token: str) -> str | None:
        result = self.desk.visit(token).result
        return result.state if result else None

    @property
    def files(self) -> list[str]:
        return sorted(
            path.relative_to(self.folder).as_posix()
            for name in ("visits", "takes", "prints")
            for path in (self.folder / name).rglob("*")
        )


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def box(tmp_path: Path, times: Times) -> Iterator[Box]:
    found = Box(tmp_path / "box", times)
    yield found
    found.studio.may_go_on.set()
    found.desk.close()
    found.store.close()


def test_a_visit_is_deleted_minutes_after_the_last_touch(box: Box, times: Times) -> None:
    token = box.done()
    times.pass_by(9 * MINUTE)
    box.desk.tick()
    assert len(box.files) == 3
    box.desk.stay(box.desk.visit(token))
    times.pass_by(9 * MINUTE)
    box.desk.tick()
    assert len(box.files) == 3
    times.pass_by(MINUTE)
    box.desk.tick()
    assert box.files == []
    assert box.store.visits() == []
    with pytest.raises(KioskError, match="has ended"):
        box.desk.visit(token)


def test_nobody_stays_for_ever(box: Box, times: Times) -> None:
    token = box.done()
    for _ in range(12):
        times.pass_by(5 * MINUTE)
        box.desk.tick()
        if not box.files:
            return
        box.desk.stay(box.desk.visit(token))
    pytest.fail("an hour has passed")


def test_a_preview_that_nobody_waits_for_any_more_keeps_nothing_from_being_deleted(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box.studio, "shown", lambda *_: None, raising=False)
    monkeypatch.setattr(box.studio, "preview", lambda *_: b"shown", raising=False)
    first, second = box.ready(), box.ready()

    def asked(token: str) -> "Future[bytes]":
        shown = box.desk.preview(box.desk.visit(token), Choice("standard"), 100)
        assert isinstance(shown, Future)
        return shown

    box.studio.is_working.clear()
    box.studio.may_go_on.clear()
    busy, _ = box.desk.open()
    box.bring(busy)
    assert box.studio.is_working.wait(20)
    for token in (first, second):
        assert asked(token).cancel()  # as for requests that the server's end cuts short
    box.desk.end(box.desk.visit(first))
    assert len(box.files) == 4
    box.studio.may_go_on.set()
    assert asked(second).result(20) == b"shown"
    box.desk.close()
    assert box.files == []


def test_a_visit_that_ends_while_its_photo_is_worked_on_leaves_nothing(box: Box) -> None:
    box.studio.may_go_on.clear()
    token, visit = box.desk.open()
    box.bring(token)
    box.studio.is_working.wait(20)
    box.desk.end(visit)
    box.studio.may_go_on.set()
    box.wait(lambda: visit.id in box.studio.forgotten)
    assert box.files == []


def test_a_result_that_is_written_after_the_end_is_deleted_too(box: Box) -> None:
    token = box.ready()
    visit = box.desk.visit(token)
    box.studio.may_go_on.clear()
    box.studio.is_working.clear()
    box.desk.choose(visit, Choice("standard"))
    box.studio.is_working.wait(20)
    before = box.desk.work.counts["results made"]
    box.desk.end(visit)
    (box.folder / "visits" / visit.id).mkdir()  # the work has begun to write
    box.studio.may_go_on.set()
    box.wait(lambda: box.desk.work.moved is None)
    box.wait(lambda: box.files == [])
    assert box.desk.work.counts["results made"] == before


def test_a_preview_for_a_customer_who_has_left_ends(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on, finished = threading.Event(), threading.Event(), list[str]()

    def preview(visit: str, file: Path, choice: Choice, size: int, progress: Progress) -> bytes:
        started.set()
        assert go_on.wait(30)
        progress("network", 1, 2)
        finished.append(visit)
        return b""

    monkeypatch.setattr(box.studio, "shown", lambda *_: None, raising=False)
    monkeypatch.setattr(box.studio, "preview", preview, raising=False)
    visit = box.desk.visit(box.ready())
    shown = box.desk.preview(visit, Choice("standard"), 640)
    assert isinstance(shown, Future)
    assert started.wait(30)
    box.desk.end(visit)
    go_on.set()
    with pytest.raises(KioskError, match="has ended"):
        shown.result(30)
    assert finished == []


class Faces:
    """Shows faces only as far as a test lets it."""

    def __init__(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        for name, value in (
            ("shown_face", None),
            ("face", b"plain"),
            ("shown", None),
            ("preview", b"preview"),
        ):
            monkeypatch.setattr(box.studio, name, lambda *_, value=value: value, raising=False)
        monkeypatch.setattr(box.studio, "restored_face", self._restored, raising=False)
        self.box, self.visit = box, box.desk.visit(box.ready())
        assert self.visit.found is not None
        self.visit.found = replace(
            self.visit.found, faces=(FaceAbout(0, (0, 0, 9, 9), (5, 5, 5), False, ()),)
        )

    def shown(self) -> "Future[bytes]":
        """Ask for a face as a preset restores it, and wait until it is begun."""
        face = self.box.desk.face(self.visit, 0, 160, "standard")
        assert isinstance(face, Future)
        assert self.begun.acquire(timeout=LONGEST)
        return face

    def _restored(self, visit: str, index: int, preset: str, size: int, progress: Progress) -> bytes:
        self.begun.release()
        assert self.go_on.acquire(timeout=LONGEST)
        progress("network", 1, 2)
        return b"restored"


def test_a_face_gives_way_to_a_preview_and_is_shown_after_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = Faces(box, monkeypatch)
    face = faces.shown()
    preview = box.desk.preview(faces.visit, Choice("standard"), 640)
    assert isinstance(preview, Future)
    faces.go_on.release()
    assert preview.result(LONGEST) == b"preview"
    assert not face.done()
    faces.go_on.release()
    assert face.result(LONGEST) == b"restored"


def test_a_face_gives_way_to_a_chosen_result_and_is_given_up(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = Faces(box, monkeypatch)
    face = faces.shown()
    box.desk.choose(faces.visit, Choice("standard"))
    faces.go_on.release()
    with pytest.raises(KioskError, match="gone on"):
        face.result(LONGEST)
    box.wait(lambda: faces.visit.result is not None and faces.visit.result.state == "done")


@pytest.mark.parametrize("ends", [True, False])
def test_a_face_for_a_customer_who_leaves_or_brings_another_photo_is_given_up(
    box: Box, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    faces = Faces(box, monkeypatch)
    face = faces.shown()
    if ends:
        box.desk.end(faces.visit)
    else:
        draft = box.desk.draft(faces.visit)
        draft.write_bytes(plain_jpeg(100))
        box.desk.take_in(faces.visit, draft)
    faces.go_on.release()
    with pytest.raises(KioskError, match="has ended" if ends else "gone on"):
        face.result(LONGEST)


@pytest.mark.parametrize("is_begun", [True, False])
def test_everything_is_deleted_although_the_request_for_a_picture_is_gone(
    box: Box, monkeypatch: pytest.MonkeyPatch, is_begun: bool
) -> None:
    faces = Faces(box, monkeypatch)
    first = faces.shown()
    second = box.desk.face(faces.visit, 0, 160, "standard")
    assert isinstance(second, Future)
    assert second.cancel()  # as the web server does at its end
    faces.go_on.release(9)
    if is_begun:
        first.result(LONGEST)
    box.desk.close()
    assert box.files == []
    assert first.done()


def test_a_photo_counts_as_stuck_once_it_makes_no_progress(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Barrier(2), threading.Barrier(2)

    def prepare(visit: str, file: Path, progress: Progress) -> Found:
        for done in range(2):
            progress("network", done, 2)
            reached.wait(30)
            go_on.wait(30)
        return Found(64, 48, (), ())

    monkeypatch.setattr(box.studio, "prepare", prepare)
    token, _ = box.desk.open()
    box.bring(token)
    reached.wait(30)
    first = box.desk.work.moved
    assert first is not None
    late = HealthCheck(box.desk, lambda: "cpu", lambda: first + STUCK + 1e-9)
    assert late().state == "stuck"
    go_on.wait(30)
    reached.wait(30)
    assert late().state == "ok"  # however long the photo has taken in all
    go_on.wait(30)
    box.wait(lambda: box.state(token) == "ready")


def test_what_is_taken_home_outlasts_the_visit_and_then_goes(box: Box, times: Times) -> None:
    token = box.done()
    visit = box.desk.visit(token)
    take = box.take(visit)
    assert take.token is not None
    box.desk.end(visit, keep_take=True)
    assert box.files == [f"takes/{take.id}.jpg"]
    assert box.desk.links.take(take.token) == take
    times.pass_by(10 * MINUTE)
    assert box.desk.links.take(take.token) is None
    box.desk.tick()
    assert box.files == []
    assert box.store.takes() == []


def test_a_second_link_ends_the_first(box: Box) -> None:
    visit = box.desk.visit(box.done())
    first, second = (box.take(visit) for _ in range(2))
    assert first.token is not None
    assert box.desk.links.take(first.token) is None
    assert [name for name in box.files if name.startswith("takes")] == [f"takes/{second.id}.jpg"]
    box.desk.end(visit)
    assert box.files == []


def in_each_state(box: Box) -> Iterator[tuple[str, str]]:
    """Take a visit through all states; yield each with the visit's token."""
    token, visit = box.desk.open()
    yield "empty", token
    draft = box.desk.draft(visit)
    draft.write_bytes(b"half of a pho")
    yield "uploading", token
    draft.unlink()
    box.studio.may_go_on.clear()
    other, _ = box.desk.open()
    box.bring(other)
    box.studio.is_working.wait(20)
    box.bring(token)
    yield "queued", token
    box.desk.end(box.desk.visit(other))
    box.studio.may_go_on.set()
    box.wait(lambda: box.state(token) == "ready")
    yield "ready", token
    for state in ("making", "done"):
        box.studio.is_working.clear()
        box.studio.may_go_on.clear()
        box.desk.choose(visit, Choice("standard", 0.5))
        box.studio.is_working.wait(20)
        if state == "making":
            (box.folder / "visits" / visit.id / ".gpen-edge-1234.tmp").write_bytes(b"half")
        yield state, token
        box.studio.may_go_on.set()
        box.wait(lambda: box.result(token) == "done")
    yield "made", token
    box.take(visit)
    yield "take-home", token


def test_a_crash_in_any_state_leaves_nothing_half_done_and_nothing_too_long(
    box: Box, times: Times, tmp_path: Path
) -> None:
    seen = []
    for i, (state, token) in enumerate(in_each_state(box)):
        seen.append(state)
        for late in (False, True):
            left = tmp_path / f"crash-{i}-{late}"
            shutil.copytree(box.folder, left)  # what `kill -9` would leave
            then = times.after_restart(times.wall + (11 * MINUTE if late else MINUTE))
            again = Box(left, then)
            try:
                if late:
                    assert again.files == [], state
                    assert again.store.visits() == again.store.takes() == [], state
                    continue
                again.wait(lambda: again.desk.visit(token).state in ("empty", "ready"))  # noqa: B023
                visit = again.desk.visit(token)
                assert visit.state == ("empty" if state in ("empty", "uploading") else "ready")
                if state in ("making", "done", "made", "take-home"):
                    again.wait(lambda: again.result(token) == "done")  # noqa: B023
                    assert again.desk.result_file(visit).read_bytes() == plain_jpeg(100)
                allowed = ("photo", "result.jpg", visit.id)
                names = [Path(name).name for name in again.files if not name.startswith("takes")]
                assert all(name in allowed for name in names if visit.id in name or "." in name), names
                assert not any("upload" in name or ".tmp" in name for name in again.files)
                then.pass_by(11 * MINUTE)
                again.desk.tick()
                assert again.files == [], state
            finally:
                again.desk.close()
                again.store.close()
    assert seen == ["empty", "uploading", "queued", "ready", "making", "done", "made", "take-home"]


@pytest.mark.parametrize(
    ("boot", "passed", "jump", "left"),
    [
        ("second", 0, -3600, False),  # set back: nobody knows for how long the photo has been here
        ("second", 0, 3600 * 24 * 365, False),
        ("second", 60, -180, False),  # set back by less than the visit lasted
        ("second", 60, 0, True),
        ("first", 60, -3600, True),  # the machine goes on, and its own clock with it
        ("first", 60, 3600, True),
        ("first", 660, -3600, False),
    ],
)
def test_a_clock_that_is_set_during_a_crash_keeps_nothing_too_long(
    box: Box, times: Times, tmp_path: Path, boot: str, passed: float, jump: float, left: bool
) -> None:
    token = box.done()
    times.pass_by(5 * MINUTE)
    box.desk.stay(box.desk.visit(token))
    copy = tmp_path / "crash"
    shutil.copytree(box.folder, copy)
    times.pass_by(passed)
    then = times.after_restart(times.wall + jump)
    if boot == "first":
        then.boot, then.now = times.boot, times.now
    again = Box(copy, then)
    assert bool(again.files) == left
    then.pass_by(600 - passed + 1)
    again.desk.tick()
    assert again.files == []
    again.desk.close()
    again.store.close()


def test_a_clock_that_is_set_while_the_server_runs_changes_nothing(box: Box, times: Times) -> None:
    box.done()
    for jump in (-1e6, 2e6):
        times.wall += jump
        box.desk.tick()
        assert box.files
    times.pass_by(10 * MINUTE)
    box.desk.tick()
    assert box.files == []


def test_a_clock_that_is_set_right_after_a_power_cut_ends_what_is_over(
    box: Box, times: Times, tmp_path: Path
) -> None:
    box.take(box.desk.visit(box.done()))
    copy = tmp_path / "crash"
    shutil.copytree(box.folder, copy)
    then = times.after_restart(times.wall + 5)  # a machine without a clock of its own goes on where it was
    again = Box(copy, then)
    assert again.files
    then.wall += 7200  # the network tells it the time
    again.desk.tick()
    assert again.files == []
    again.desk.close()
    again.store.close()


def test_more_customers_than_the_queue_holds_come_back_after_a_crash(
    box: Box, times: Times, tmp_path: Path
) -> None:
    box.studio.may_go_on.clear()
    tokens = [box.desk.open()[0] for _ in range(box.desk.config.queue)]
    for token in tokens:
        box.bring(token)
    times.pass_by(1)
    copy = tmp_path / "crash"
    shutil.copytree(box.folder, copy)
    more, row = Store(copy / "kiosk.sqlite"), box.store.visits()[0]
    for _ in range(3):
        name = digest(new_token())
        more.add(replace(row, id=name))
        shutil.copytree(copy / "visits" / row.id, copy / "visits" / name)
    more.close()
    again = Box(copy, times)
    again.wait(lambda: all(again.state(token) == "ready" for token in tokens))
    again.desk.close()
    again.store.close()


def test_a_full_disk_stops_neither_the_work_nor_the_deletion(box: Box, times: Times) -> None:
    token = box.ready()
    box.store._database.execute("PRAGMA query_only = ON")  # every write fails from now on
    box.desk.choose(box.desk.visit(token), Choice("standard"))
    box.wait(lambda: box.result(token) == "done")
    with pytest.raises(KioskError, match="cannot write down who is here") as refused:
        box.desk.open()
    assert refused.value.code == "disk-full"
    times.pass_by(10 * MINUTE)
    box.desk.tick()
    assert box.files == []
    assert box.desk.work.line.is_alive
    box.store._database.execute("PRAGMA query_only = OFF")
    box.desk.tick()
    assert box.store.visits() == []


def test_a_job_that_fails_in_an_unknown_way_does_not_stop_the_queue() -> None:
    failed, done = list[str](), threading.Event()
    line = Line(3, failed=lambda error: failed.append(str(error)))
    line.put(Job("one", lambda: {}["no such thing"]))  # type: ignore[arg-type]
    line.put(Job("two", done.set))
    line.start()
    assert done.wait(20)
    assert failed == ["'no such thing'"]
    line.stop()


def test_who_waits_for_another_customers_photo_is_told() -> None:
    line = Line(4)
    started, go_on = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        go_on.wait(30)

    line.put(Job("first", work))
    assert line.place("first") == 1
    line.start()
    assert started.wait(30)
    line.put(Job("second", lambda: None))
    line.put(Job("first", lambda: None))
    assert (line.place("second"), line.place("first"), line.place("third")) == (2, 2, None)
    go_on.set()
    line.stop()


def test_a_list_of_visits_that_is_damaged_ends_all_of_them(wanted: RunOptions, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder / "visits" / digest(new_token())).mkdir(parents=True)
    (folder / "kiosk.sqlite").write_bytes(b"no database at all")
    with opened_kiosk(folder, config(), wanted, Log("text")) as kiosk:
        assert not any((folder / "visits").iterdir())
        kiosk.desk.open()


def test_a_link_in_the_folder_is_refused_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "holiday.jpg").write_bytes(b"x")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "visits").symlink_to(tmp_path / "album")
    with pytest.raises(ServeError, match=r"visits in .* is a link"), holding_folder(tmp_path / "own"):
        pass
    assert (tmp_path / "album" / "holiday.jpg").exists()


def test_a_result_that_cannot_be_kept_for_taking_home_leaves_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = box.desk.visit(box.done())

    def half(result: Path, take: Path) -> None:
        take.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(box.desk.folder, "keep", half)
    with pytest.raises(KioskError, match="No space left"):
        box.take(visit)
    assert not any(name.startswith("takes") for name in box.files)
    assert box.store.takes() == []


def test_a_photo_that_crashes_the_program_is_not_tried_for_ever(tmp_path: Path, times: Times) -> None:
    folder, token = tmp_path / "box", new_token()
    (folder / "visits" / digest(token)).mkdir(parents=True)
    (folder / "visits" / digest(token) / "photo").write_bytes(plain_jpeg(1))
    store = Store(folder / "kiosk.sqlite")
    row = VisitRow(
        digest(token), End(times.wall, times.wall + 600, "", 0), number=1, attempts=MOST_ATTEMPTS + 1
    )
    store.add(row)
    store.close()
    box = Box(folder, times)
    visit = box.desk.visit(token)
    assert visit.state == "failed"
    assert visit.error is not None
    assert visit.error.message.startswith("the program ended 3 times while it worked on this photo")
    box.bring(token)
    box.wait(lambda: box.state(token) == "ready")
    box.desk.close()
    box.store.close()


def test_the_end_of_the_server_deletes_everything(
    wanted: RunOptions, tmp_path: Path, portrait_jpeg: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "own"
    with opened_kiosk(folder, config(), wanted, Log("json")) as kiosk, serving(kiosk) as server:
        customer = server.customer()
        customer.bring(portrait_jpeg)
        customer.choose()
        take = customer.post("/take-home").json()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(server.files) == 4
        stored = b"".join(path.read_bytes() for path in folder.glob("kiosk.sqlite*"))
    assert server.files == []
    token = take["url"].rpartition("/")[2]
    for secret in (customer.visit, token):
        assert secret.encode() not in stored, "tokens are stored as digests"
    logged = capfd.readouterr().err
    for secret in (customer.visit, token, "127.0.0.1", "somebody's name"):
        assert secret not in logged
    after = b"".join(path.read_bytes() for path in folder.glob("kiosk.sqlite*"))
    assert digest(customer.visit).encode() not in after


def test_a_folder_with_other_files_is_never_used(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ServeError, match="holds other files, such as holiday"), holding_folder(tmp_path):
        pass
    assert (tmp_path / "holiday.jpg").exists()


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    with (
        holding_folder(tmp_path / "own"),
        pytest.raises(ServeError, match="another server uses"),
        holding_folder(tmp_path / "own"),
    ):
        pass


def test_mounts_of_any_name_are_told_apart() -> None:
    table = "/dev/sda1 / ext4 rw 0 0\nnone /mnt/\\134my\\040ф tmpfs rw 0 0\n".encode()
    assert list(mounts_in(table)) == [(Path("/"), "ext4"), (Path("/mnt/\\my ф"), "tmpfs")]


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="there is no tmpfs at /dev/shm")
def test_ram_is_memory_and_no_disk(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="is not in memory"), holding_folder(tmp_path / "own", ram=True):
        pass
    folder = Path("/dev/shm") / f"gpen-edge-test-{os.getpid()}"
    try:
        with holding_folder(folder, ram=True):
            pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def started(tiny_package: Path, folder: Path, until: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server as a process of its own; wait for an event in its log, and return its last word."""
    command = [sys.executable, "-m", "runtime.serve", "--folder", str(folder), "--port", "0"]
    command += ["--model", str(tiny_package), "--threads", "1", "--backend", "onnxruntime"]
    command += ["--log-format", "json"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if (said := json.loads(line))["event"] == until:
            return process, said["message"].rpartition(" ")[2]
    raise AssertionError("the server has not started")


def test_a_killed_server_goes_on_where_it_was(tiny_package: Path, tmp_path: Path) -> None:
    """A real process, a real `kill -9`; the states are those of the test above."""
    folder = tmp_path / "own"
    process, url = started(tiny_package, folder, "serving")
    with httpx.Client(base_url=url, timeout=LONGEST) as client:
        customer = Customer(client)
        customer.bring(plain_jpeg(77))
        customer.post("/result", {"preset": "standard"})
        process.kill()
        process.wait()
    process, url = started(tiny_package, folder, "serving")
    try:
        with httpx.Client(base_url=url, timeout=LONGEST) as client:
            customer.client = client
            status = customer.wait(lambda status: (status["result"] or {}).get("state") == "done")
            assert status["state"] == "ready"
            assert customer.get("/result/file").content == plain_jpeg(77)
    finally:
        process.kill()
        process.wait()
    # Stopped while it starts again, it ends as if it had served: nothing of customers is left.
    process, _ = started(tiny_package, folder, "backend")
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
    assert process.wait(LONGEST) == 0
    left = [path.name for path in folder.rglob("*")]
    assert sorted(left) == [".lock", "kiosk.sqlite", "prints", "takes", "visits"]


def test_a_lost_gpu_ends_the_server_and_the_next_one_has_every_photo(
    wanted: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def lose(*_: object, **__: object) -> None:
        raise BackendError("the photo network failed") from DeviceLostError("cuda:0 was lost")

    def refuse(*_: object) -> None:
        raise BackendError("cuda:0 cannot be used")

    folder, tokens = tmp_path / "own", list[str]()

    def run(customers: int) -> None:
        with (
            opened_kiosk(folder, config(), wanted, Log("text")) as kiosk,
            closing(listen("127.0.0.1", 0)) as listener,
        ):
            for _ in range(customers):
                token, visit = kiosk.desk.open()
                draft = kiosk.desk.draft(visit)
                draft.write_bytes(plain_jpeg(77))
                kiosk.desk.take_in(visit, draft)
                tokens.append(token)
            with ThreadPoolExecutor(1) as thread:  # this thread may have an event loop, of a browser's tests
                thread.submit(KioskServer(kiosk, [listener]).run).result()

    with monkeypatch.context() as lost:
        lost.setattr("runtime.serve.visits.studio.read_photo", lose)
        with pytest.raises(DeviceLostError, match="cuda:0 was lost"):
            run(customers=2)
        # At the next start the device cannot be opened either.
        lost.setattr("runtime.serve.opening.open_restorer", refuse)
        with pytest.raises(BackendError, match="cannot be used"):
            run(customers=0)
    with opened_kiosk(folder, config(), wanted, Log("text")) as kiosk:
        ends = time.monotonic() + LONGEST
        while any(kiosk.desk.visit(token).state != "ready" for token in tokens):
            assert time.monotonic() < ends
            time.sleep(0.01)
    assert "a photo was not restored" not in capfd.readouterr().err
    assert list(folder.glob("visits/*")) == []


@pytest.fixture
def ending() -> Iterator[Ending]:
    """What a process of its own ends by; the test's own signal handlers come back."""
    found, before = Ending(), {number: signal.getsignal(number) for number in signal.valid_signals()}
    found.take_signals()
    yield found
    for number, handler in before.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def test_a_signal_waits_until_the_start_can_be_undone(ending: Ending) -> None:
    stopped = list[str]()
    signal.raise_signal(signal.SIGTERM)  # during the imports: only noted
    assert ending.is_wanted
    with pytest.raises(KeyboardInterrupt), ending.interrupting():
        pytest.fail("the networks are not opened any more")
    signal.raise_signal(signal.SIGTERM)  # during the end: it goes on
    ending.calling(lambda: stopped.append("now"))
    assert stopped == ["now"]


def test_a_signal_interrupts_the_opening_of_the_networks_once(ending: Ending) -> None:
    with pytest.raises(KeyboardInterrupt), ending.interrupting():
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
