"""Whatever happens in between, every photo is done once, failed with a reason, or waits; nothing is lost."""

import errno
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from base.errors import BackendError, DeviceLostError, PackageError, SettingsError, WatchError
from runtime.hotfolder import processing
from runtime.hotfolder.clock import Clock
from runtime.hotfolder.disk import Disk
from runtime.hotfolder.journal import Journal
from runtime.hotfolder.status import Status
from runtime.hotfolder.watcher import Watcher
from runtime.photo.reader import Photo
from runtime.pixels import Pixels
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.resolved import ResolvedSettings
from runtime.warm_restorer import WarmRestorer


class FailingRestorer(WarmRestorer):
    """Raises instead of restoring, as long as there are errors."""

    def __init__(
        self, restorer: WarmRestorer, errors: list[Exception | None], *, reopens: Exception | None = None
    ) -> None:
        """Take the errors, and one for every attempt to open it again."""
        super().__init__(self.open_or_raise)
        self.restorer, self.errors, self.reopens, self.opened = restorer, errors, reopens, False

    def open_or_raise(self) -> Restorer:
        if self.opened and self.reopens:
            raise self.reopens
        self.opened = True
        return self.restorer.warm()

    def restore(self, photo: Pixels, resolved: ResolvedSettings) -> RestoreResult:
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        return super().restore(photo, resolved)


class InterruptedRestorer(WarmRestorer):
    """Calls a function once, while a photo is restored."""

    def __init__(self, restorer: WarmRestorer, between: Callable[[], object]) -> None:
        super().__init__(restorer.warm)
        self.between: Callable[[], object] | None = between

    def restore(self, photo: Pixels, resolved: ResolvedSettings) -> RestoreResult:
        result = super().restore(photo, resolved)
        if self.between:
            between, self.between = self.between, None
            between()
        return result


def test_a_photo_rewritten_while_it_is_read_is_restored_in_its_last_form(
    hot, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = hot.put("a.png", 1), processing.read_photo

    def rewrite(*arguments: object, **named: object) -> object:
        photo = read(*arguments, **named)  # type: ignore[arg-type]
        if not rewritten:
            rewritten.append(hot.put("a.png", 2))
        return photo

    rewritten: list[Path] = []
    monkeypatch.setattr(processing, "read_photo", rewrite)
    hot.work()
    assert rewritten == [path]
    assert (hot.results(), hot.done()) == ({"a.png": 2}, ["a.png"])


def test_a_photo_replaced_while_it_is_restored_is_restored_too(hot) -> None:
    hot.put("a.png", 1)
    hot.work(restorer=InterruptedRestorer(hot.restorer, lambda: hot.put("a.png", 2)))
    assert hot.results() == {"a.png": 1, "a-2.png": 2}
    assert hot.waiting() == []


def test_a_photo_replaced_in_the_moment_it_is_moved_is_restored_too(hot) -> None:
    replaced: list[Path] = []

    class ReplacingDisk(Disk):
        def rename_new(self, source: Path, target: Path) -> None:
            if source == hot.photos / "a.png" and not replaced:
                replaced.append(hot.put("a.png", 2))
            super().rename_new(source, target)

    hot.put("a.png", 1)
    hot.work(disk=ReplacingDisk())
    assert replaced
    assert sorted(hot.results().values()) == [1, 2]
    assert hot.waiting() == []


@pytest.mark.parametrize("originals", ["move", "leave"])
def test_a_photo_taken_away_before_it_is_read_is_forgotten(
    hot, monkeypatch: pytest.MonkeyPatch, originals: str
) -> None:
    path, read = hot.put("a.png"), processing.read_photo

    def take_away(*arguments: object, **named: object) -> object:
        path.unlink()
        return read(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(processing, "read_photo", take_away)
    hot.work(originals=originals)
    assert (hot.entries(), hot.failed(), hot.results()) == ([], [], {})


def test_a_photo_taken_away_while_it_is_restored_is_delivered_all_the_same(hot) -> None:
    path = hot.put("a.png", 1)
    hot.work(restorer=InterruptedRestorer(hot.restorer, path.unlink))
    assert hot.results() == {"a.png": 1}
    assert [entry.state for entry in hot.entries()] == ["done"]


def test_out_of_memory_is_retried_and_then_fails_only_that_photo(hot) -> None:
    hot.put("a.png", 1)
    status = hot.work(restorer=FailingRestorer(hot.restorer, [MemoryError(), MemoryError()]), retries=2)
    assert (hot.results(), dict(status.retries), dict(status.failures)) == ({"a.png": 1}, {"memory": 2}, {})
    hot.put("b.png", 2)
    out_of_memory: list[Exception | None] = [RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory")] * 3
    status = hot.work(restorer=FailingRestorer(hot.restorer, out_of_memory), retries=2)
    assert (dict(status.retries), dict(status.failures)) == ({"memory": 2}, {"memory": 1})
    assert hot.failed() == ["b.png", "b.png.json"]


def test_a_photo_named_out_of_memory_fails_for_its_own_cause(hot) -> None:
    (hot.photos / "out of memory.jpg").write_text("hello")
    assert dict(hot.work().failures) == {"photo": 1}


def test_an_engine_that_raises_is_opened_again_and_the_photo_restored(hot) -> None:
    hot.put("a.png", 1)
    status = hot.work(restorer=FailingRestorer(hot.restorer, [BackendError("device lost")]))
    assert (hot.results(), dict(status.retries)) == ({"a.png": 1}, {"engine": 1})


def test_asking_whether_the_networks_are_well_keeps_nothing_of_them(warm, monkeypatch) -> None:
    backend, states = warm.warm().backend, []
    monkeypatch.setattr(backend, "release", states.append)
    assert warm.is_well()
    monkeypatch.setattr(backend, "generate", lambda state: 1 / 0)
    assert not warm.is_well()
    assert len(states) == 2


def test_a_working_engine_fails_only_the_photo_that_it_cannot_restore(hot) -> None:
    hot.put("a.png", 1)
    status = hot.work(restorer=FailingRestorer(hot.restorer, [BackendError("odd shape")] * 2), retries=1)
    assert dict(status.failures) == {"engine": 1}
    assert hot.failed() == ["a.png", "a.png.json"]


def test_an_engine_that_is_broken_ends_the_work_and_fails_no_photo(hot) -> None:
    class Broken(FailingRestorer):
        def is_well(self) -> bool:
            return False

    for name in ("a.png", "b.png"):
        hot.put(name)
    for _ in range(3):
        with pytest.raises(WatchError, match="no longer restores anything"):
            hot.work(restorer=Broken(hot.restorer, [BackendError("device lost")] * 99), retries=1, crashes=1)
    assert (hot.waiting(), hot.failed()) == (["a.png", "b.png"], [])
    assert hot.work().done == 2


def test_a_gpu_that_only_a_new_process_can_use_ends_it_at_once_and_fails_no_photo(hot) -> None:
    for name in ("a.png", "b.png"):
        hot.put(name)
    for _ in range(3):
        behind = BackendError("the photo network failed")
        behind.__cause__ = DeviceLostError("cuda:0 was lost (illegal memory access)")
        failing = FailingRestorer(hot.restorer, [behind] * 9)
        with pytest.raises(WatchError, match=r"^cuda:0 was lost \(.*still in the input folder$"):
            hot.work(restorer=failing, retries=5, crashes=1)
        assert len(failing.errors) == 8
    assert (hot.waiting(), hot.failed()) == (["a.png", "b.png"], [])
    assert hot.work().done == 2


def test_going_on_with_another_backend_is_told_once_and_a_loss_is_noted() -> None:
    def runs_on(name: str, device: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, device=device)

    restorer, told = SimpleNamespace(backend=runs_on("tensorrt", "cuda:0")), list[str]()
    warm = WarmRestorer(lambda: restorer, lambda each: told.append(each.backend.device))  # type: ignore[arg-type, return-value]
    for _ in range(2):
        with warm.turn():
            restorer.backend = runs_on("onnxruntime", "cpu")
    assert told == ["cuda:0", "cpu"]
    assert warm.lost is None
    lost = DeviceLostError("cuda:0 was lost")
    with pytest.raises(BackendError), warm.turn():
        raise BackendError("the photo network failed") from lost
    assert warm.lost is lost


@pytest.mark.parametrize("error", [PackageError("changed"), SettingsError("none"), OSError(5, "broken")])
def test_an_engine_that_cannot_be_reopened_ends_it_and_fails_no_photo(hot, error: Exception) -> None:
    for name in ("a.png", "b.png"):
        hot.put(name)
    with pytest.raises(WatchError, match="cannot be opened again"):
        hot.work(
            restorer=FailingRestorer(hot.restorer, [BackendError("device lost")], reopens=error), retries=2
        )
    assert (hot.waiting(), hot.failed()) == (["a.png", "b.png"], [])
    assert hot.work().done == 2


def test_a_mistake_of_ours_fails_the_photo_at_once_and_the_work_goes_on(hot) -> None:
    hot.put("a.png")
    hot.put("b.png", 2)
    status = hot.work(restorer=FailingRestorer(hot.restorer, [ZeroDivisionError("division by zero")]))
    assert dict(status.failures) == {"unexpected": 1}
    assert dict(status.retries) == {}
    assert hot.results() == {"b.png": 2}


def test_a_photo_that_crashes_the_program_comes_last_and_is_given_up(hot) -> None:
    """Here it does not die but is interrupted in a way that nothing catches."""

    class Death(BaseException):
        pass

    class Deadly(FailingRestorer):
        def restore(self, photo: Pixels, resolved: ResolvedSettings) -> RestoreResult:
            if photo[0, 0, 0] == 66:
                raise Death
            return super().restore(photo, resolved)

    hot.put("a.png", 66)
    for _ in range(3):
        with pytest.raises(Death):
            hot.work(restorer=Deadly(hot.restorer, []), crashes=3)
    hot.put("b.png", 2)
    status = hot.work(restorer=Deadly(hot.restorer, []), crashes=3)
    assert hot.results() == {"b.png": 2}
    assert dict(status.failures) == {"crash": 1}
    assert "3 times" in json.loads((hot.output / "failed" / "a.png.json").read_text())["reason"]


@pytest.mark.parametrize("sync", range(8))
def test_a_full_disk_is_waited_for_wherever_it_is_met(
    hot, monkeypatch: pytest.MonkeyPatch, sync: int
) -> None:
    hot.put("a.png", 1)
    (hot.photos / "b.png").write_text("hello")
    calls, real = [], os.fsync

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if sync <= len(calls) - 1 < sync + 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    status = hot.work()
    assert len(calls) > sync + 3
    assert (hot.results(), hot.done(), hot.failed()) == ({"a.png": 1}, ["a.png"], ["b.png", "b.png.json"])
    assert (hot.left_over(), hot.waiting()) == ([], [])
    assert status.retries["disk-full"] >= 1
    assert (status.done, dict(status.failures)) == (1, {"photo": 1})


def test_a_journal_that_has_no_room_is_waited_for(hot, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, databases = sqlite3.connect, list[sqlite3.Connection]()

    def recorded(*arguments: object, **named: object) -> sqlite3.Connection:
        databases.append(connect(*arguments, **named))  # type: ignore[call-overload]
        return databases[-1]

    def confine(watcher: Watcher) -> None:
        (pages,) = databases[-1].execute("PRAGMA page_count").fetchone()
        databases[-1].execute(f"PRAGMA max_page_count = {pages}")

    class MakingRoom(Clock):
        def sleep(self, seconds: float) -> None:
            databases[-1].execute("PRAGMA max_page_count = 1000")
            super().sleep(seconds)

    for i in range(3):
        hot.put(f"{'long name ' * 20}{i}.png", i)
    hot.work(originals="leave")  # the first pages
    for i in range(20):
        hot.put(f"{'long name ' * 20}-{i}.png", i)
    monkeypatch.setattr(sqlite3, "connect", recorded)
    status = hot.work(originals="leave", before=confine, clock=MakingRoom())
    assert status.retries["disk-full"] >= 1
    assert len(hot.results()) == 23
    assert hot.left_over() == []
    assert all(entry.state == "done" for entry in hot.entries())


@pytest.mark.parametrize("call", ["begin", "update", "forget", "concerning", "open_entries"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_journal_that_fails_in_any_call_is_waited_for_or_ends_the_work(
    hot, monkeypatch: pytest.MonkeyPatch, call: str, times: int
) -> None:
    real_read, real_call = processing.read_photo, getattr(Journal, call)
    errors: list[Exception] = []

    def take_away(path: Path, **named: float) -> Photo:
        if path.name == "gone.png":
            path.unlink(missing_ok=True)
        if path.name == "touched.png" and not touched:
            touched.append(os.utime(path, (1, 1)))
        return real_read(path, **named)

    def fail(*arguments: object, **named: object) -> object:
        if errors:
            raise errors.pop()
        return real_call(*arguments, **named)

    monkeypatch.setattr(processing, "read_photo", take_away)
    monkeypatch.setattr(Journal, call, fail)
    for said in ("database or disk is full", "disk I/O error"):
        touched: list[None] = []
        for name in ("gone.png", "touched.png", "z.png"):
            hot.put(name)
        errors = [sqlite3.OperationalError(said)] * times
        if said == "disk I/O error":
            with pytest.raises(WatchError, match=said):
                hot.work()
            errors = []
        hot.work()
        assert (hot.waiting(), hot.left_over(), hot.failed()) == ([], [], [])
    assert sorted(name[0] for name in hot.done()) == ["t", "t", "z", "z"]
    assert all(entry.state == "done" for entry in hot.entries())


def test_an_unreadable_file_is_retried_and_fails_with_its_original(
    hot, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot.put("a.png")
    real = Path.open

    def bad_card(path: Path, *arguments: object, **named: object) -> object:
        if path == hot.photos / "a.png":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", bad_card)
    status = hot.work(retries=1)
    assert (dict(status.retries), dict(status.failures)) == ({"unreadable": 1}, {"unreadable": 1})
    assert hot.failed() == ["a.png", "a.png.json"]


@pytest.mark.parametrize(
    ("originals", "disk", "failed"),
    [
        ("move", "same disk", ["a.jpg", "a.jpg.json"]),
        ("move", "another disk", ["a.jpg", "a.jpg.json"]),
        ("leave", "same disk", ["a.jpg.json"]),
    ],
)
def test_a_file_too_large_for_a_photo_fails_without_being_read(
    hot, originals: str, disk: str, failed: list[str]
) -> None:
    used = AnotherDisk() if disk == "another disk" else Disk()
    (hot.photos / "a.jpg").touch()
    os.truncate(hot.photos / "a.jpg", 70_000_000)  # more than a photo of 0.01 megapixels can have
    hot.put("b.png", 2)
    status = hot.work(originals=originals, max_megapixels=0.01, disk=used)
    assert (dict(status.failures), hot.results(), hot.failed()) == ({"photo": 1}, {"b.png": 2}, failed)
    (entry,) = [entry for entry in hot.entries() if entry.state == "failed"]
    assert (entry.path, entry.sha256) == (Path("a.jpg"), "")
    assert hot.work(originals=originals, max_megapixels=0.01).failures == {}
    assert ("a.jpg" in hot.waiting()) == (originals == "leave")


class ExFatDisk(Disk):
    """Takes no names with colons, as exFAT and some network drives do."""

    def rename_new(self, source: Path, target: Path) -> None:
        if ":" in target.name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        super().rename_new(source, target)


def refuse_colons(monkeypatch: pytest.MonkeyPatch, output: Path) -> Disk:
    """Have a folder take no names with colons; return the disk that it is on."""

    def refusing(real: Callable[..., None]) -> Callable[..., None]:
        def step(*paths: Path, **named: object) -> None:
            if paths[-1].is_relative_to(output) and ":" in paths[-1].name:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            real(*paths, **named)

        return step

    for name in ("mkdir", "replace"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))
    return ExFatDisk()


class AnotherDisk(Disk):
    """Files can only be renamed within a folder, as if each folder were on a disk of its own."""

    def rename_new(self, source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename_new(source, target)


@pytest.mark.parametrize("originals", ["move", "leave"])
def test_a_name_that_the_output_refuses_becomes_a_plain_one(
    hot, monkeypatch: pytest.MonkeyPatch, originals: str
) -> None:
    disk = refuse_colons(monkeypatch, hot.output)
    for shade in (1, 2):
        hot.put("a:b.png", shade)
        hot.put("c:d/e.png", shade)
        (hot.photos / "f:g.jpg").write_text(f"no photo {shade}")
        assert hot.work(originals=originals, disk=disk).done == 2
    assert hot.results() == {"a_b.png": 1, "a_b-2.png": 2, "c_d/e.png": 1, "c_d/e-2.png": 2}
    assert hot.failed() == ["f_g-2.jpg", "f_g-2.jpg.json", "f_g.jpg", "f_g.jpg.json"]
    assert hot.done() == (sorted(hot.results()) if originals == "move" else [])
    assert hot.left_over() == []


def test_a_result_whose_name_is_refused_is_delivered_at_the_next_start(
    hot, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(BaseException):
        pass

    class DeadlyDisk(Disk):
        def rename_new(self, source: Path, target: Path) -> None:
            raise Death

    hot.put("a:b.png", 1)
    with pytest.raises(Death):
        hot.work(disk=DeadlyDisk())
    assert [entry.state for entry in hot.entries()] == ["delivering"]
    hot.work(disk=refuse_colons(monkeypatch, hot.output))
    assert (hot.results(), hot.done(), hot.left_over()) == ({"a_b.png": 1}, ["a_b.png"], [])


class LockedDisk(Disk):
    """Lets no file be moved out of a folder while it is locked."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.locked = folder, True

    def rename_new(self, source: Path, target: Path) -> None:
        if self.locked and source.is_relative_to(self.folder):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        super().rename_new(source, target)


def test_an_original_that_cannot_be_moved_is_moved_later(hot) -> None:
    disk = LockedDisk(hot.photos)

    class Unlocking(Clock):
        def wait(self, event: threading.Event, seconds: float) -> None:
            disk.locked = False
            super().wait(event, seconds)

    hot.put("a.png", 1)
    assert hot.work(disk=disk, clock=Unlocking()).done == 1
    assert (hot.results(), hot.done(), hot.waiting()) == ({"a.png": 1}, ["a.png"], [])


def test_originals_that_cannot_be_moved_keep_no_other_photo_waiting(
    hot, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = LockedDisk(hot.photos / "theirs")
    for i in range(4):
        hot.put(f"theirs/{i}.png", i)
    for i in range(4, 9):
        hot.put(f"z{i}.png", i)
    status = hot.work(queue=3, retries=2, disk=locked, before=stop_within(60))
    assert (status.done, len(hot.results()), len(hot.waiting())) == (9, 9, 4)
    said = capsys.readouterr().err
    assert said.count("its original cannot be put away") == 4
    # Once a round, and each waits twice as long as the one before: n rounds take 0.01 (2ⁿ − 1) s or more,
    # so that no more than 12 end within the minute of this test, however slow the machine is.
    assert 1 <= said.count("originals still cannot be put away") <= 12
    os.utime(hot.photos / "theirs" / "0.png", (1, 1))
    assert hot.work(queue=3, retries=0, disk=locked, before=stop_within(60)).done == 0
    assert hot.work(queue=3).done == 0
    assert (len(hot.done()), hot.waiting()) == (9, [])


def stop_within(seconds: float) -> Callable[[Watcher], None]:
    def start(watcher: Watcher) -> None:
        timer = threading.Timer(seconds, watcher.stop)
        timer.daemon = True
        timer.start()

    return start


def test_an_output_folder_that_vanishes_ends_the_work_and_loses_nothing(hot, tmp_path: Path) -> None:
    hot.put("a.png")
    hot.put("b.png")
    away = InterruptedRestorer(hot.restorer, lambda: hot.output.rename(tmp_path / "unmounted"))
    with pytest.raises(WatchError, match="out"):
        hot.work(restorer=away)
    assert not hot.output.exists()
    assert hot.waiting() == ["a.png", "b.png"]
    (tmp_path / "unmounted").rename(hot.output)
    assert hot.work().done == 2


def test_an_input_folder_that_vanishes_is_waited_for(hot, tmp_path: Path) -> None:
    status, watchers = Status(), list[Watcher]()
    worker = threading.Thread(
        target=lambda: hot.work(once=False, status=status, before=watchers.append, rescan=1000)
    )
    worker.start()
    try:
        wait_for(lambda: status.state == "idle")
        shutil.rmtree(hot.photos)
        wait_for(lambda: status.state == "no-input")
        hot.photos.mkdir()
        move_in(hot, "a.png", 1)
        wait_for(lambda: status.done == 1)
        wait_for(lambda: status.state == "idle")
        move_in(hot, "b.png", 2)  # by an event: it would not look again for long
        wait_for(lambda: status.done == 2)
    finally:
        watchers[0].stop()
        worker.join(600)
    assert hot.results() == {"a.png": 1, "b.png": 2}


def move_in(hot, name: str, shade: int) -> None:
    """Put in a photo that is whole at once: it is taken while this goes on."""
    hot.put(".coming.png", shade).rename(hot.photos / name)


def test_a_clock_that_jumps_back_and_photos_from_the_future_change_nothing(
    hot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(10**9, 0, -3600))
    os.utime(hot.put("future.png", 1), (4e9, 4e9))
    os.utime(hot.put("past.png", 2), (1, 1))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    hot.work(settle=0.05)
    assert hot.results() == {"future.png": 1, "past.png": 2}


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Refusal:
    """Refuses every step from some step on, as a disk that turns read-only."""

    def __init__(self, begins: int) -> None:
        self.begins, self.steps = begins, 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.begins:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))


class ReadOnlyDisk(Disk):
    """Refuses to give files names, but for those of originals in done/."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal

    def rename_new(self, source: Path, target: Path) -> None:
        if "done" not in target.parts:
            self.refusal.step()
        super().rename_new(source, target)


@pytest.mark.parametrize("begins", range(7))
def test_an_output_that_turns_read_only_at_any_step_loses_nothing(
    hot, monkeypatch: pytest.MonkeyPatch, begins: int
) -> None:
    """From some step on no file can be created, synced or renamed there."""
    refusal, fsync, open_path = Refusal(begins), os.fsync, Path.open

    def refuse_sync(descriptor: int) -> None:
        refusal.step()
        fsync(descriptor)

    def refuse_new(path: Path, mode: str = "r", *rest: object, **named: object) -> object:
        if "x" in mode:
            refusal.step()
        return open_path(path, mode, *rest, **named)  # type: ignore[call-overload]

    hot.put("a.png", 1)
    hot.put("b/c.png", 2)
    with monkeypatch.context() as read_only:
        read_only.setattr(os, "fsync", refuse_sync)
        read_only.setattr(Path, "open", refuse_new)
        with pytest.raises(WatchError, match="Read-only file system"):
            hot.work(disk=ReadOnlyDisk(refusal))
    assert len(hot.waiting()) + len(hot.done()) == 2
    hot.work()
    assert hot.results() == {"a.png": 1, "b/c.png": 2}
    assert hot.done() == ["a.png", "b/c.png"]
    assert (hot.waiting(), hot.left_over(), hot.failed()) == ([], [], [])
