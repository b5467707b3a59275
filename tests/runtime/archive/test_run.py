"""An archive restored by Ray on this machine; all that needs Ray is one test, because Ray starts slowly."""

import hashlib
import signal
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from base.errors import PhotoError, SettingsError
from runtime.archive.options import parser
from runtime.archive.status import Row
from runtime.archive.worker import NoTally, Worker
from tests.runtime.archive.stand_ins import Interrupted, Pretending

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install 'gpen-edge[archive]'"
)

NAMES = (
    "00.jpg",
    "01-kills.png",
    "02.jpg",
    "s/03-broken.jpg",
    "s/04-deep.tif",
    "05-full.jpg",
    "06.png",
    "07.gif",
)


@pytest.fixture(scope="module")
def on_ray() -> Any:
    from runtime.archive.cluster import started

    handler = signal.getsignal(signal.SIGTERM)
    with started(None, 1):  # as the command does for one actor
        assert signal.getsignal(signal.SIGTERM) == handler  # so that SIGTERM still lets the program clean up
        yield


@pytest.mark.usefixtures("on_ray")
def test_an_archive_survives_killed_actors_a_full_disk_and_repeats(
    album: Callable[..., Path], tiny_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime.archive.cluster import rows_of
    from runtime.archive.command import archive
    from runtime.archive.place import place_of
    from runtime.archive.record import alone_in

    source, sink = album(*NAMES), tmp_path / "out"

    def run(to: Path, opened: Any, *options: str) -> int:
        given = [str(source), "-o", str(to), "--model", str(tiny_package), "--backend", "onnxruntime"]
        return archive(parser().parse_args([*given, "--actors", "1", *options]), opened)

    # An actor is killed, and goes on; then the disk is full, and the run ends.
    with pytest.raises(PhotoError, match=r"05-full\.jpg: No space left on device: free some space"):
        run(sink, Interrupted)
    assert (tmp_path / "out-killed").exists()
    with pytest.raises(SettingsError, match=r"strength 1, now 0\.5"):
        run(sink, Worker, "--strength", "0.5")
    (sink / ".gpen-edge-0123456789abcdef.tmp").touch()  # as a killed actor leaves it
    cut = sink / "gpen-edge-run" / "status" / "cut.parquet"  # as a power cut leaves it
    cut.parent.mkdir(exist_ok=True)
    cut.write_bytes(b"PAR1")
    with pytest.raises(PhotoError, match=r"cut\.parquet.*move it away"):
        run(sink, Interrupted)
    cut.unlink()
    with alone_in(place_of(str(sink))), pytest.raises(PhotoError, match="another run writes to"):
        run(sink, Worker)
    # The same command again does the rest: one row and one whole file for each photo.
    assert run(sink, Interrupted) == 3
    rows = rows_of(place_of(str(sink))).to_pylist()
    assert sorted(row["path"] for row in rows) == sorted(NAMES)
    assert {row["path"]: row["cause"] for row in rows if row["outcome"] == "failed"} == {
        "s/03-broken.jpg": "photo"
    }
    for row in rows:
        if row["output"]:
            assert row["output_sha256"] == hashlib.sha256((sink / row["output"]).read_bytes()).hexdigest()
    written = [path for path in sink.rglob("*") if path.is_file() and "gpen-edge-run" not in path.parts]
    assert len(written) == len(NAMES) - 1
    page = (sink / "gpen-edge-run" / "summary.html").read_text()
    assert page.count("<img") >= 3
    assert "03-broken.jpg" in page
    assert "8 photos: 1 failed" in capsys.readouterr().err


def test_a_dry_run_estimates_and_writes_nothing(
    album: Callable[..., Path],
    tiny_package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from runtime.archive import command

    def at_once(photos: Any, work: Any, actors: Any, told: Any, open_worker: Any) -> list[Row]:
        assert actors.least == actors.most == 2
        return list(open_worker(work, NoTally()).rows(photos))

    monkeypatch.setattr(command, "started", lambda *_: nullcontext())
    monkeypatch.setattr(command, "restore_sample", at_once)
    monkeypatch.setattr(command, "check_names", lambda *_: pytest.fail("it may create a file"))
    source, sink = album(*NAMES), tmp_path / "out"
    options = ["--model", str(tiny_package), "--dry-run", "--sample", "4", "--actors", "1-2"]
    assert command.archive(parser().parse_args([str(source), "-o", str(sink), *options]), Pretending) == 0
    first, second, *with_actors = capsys.readouterr().out.splitlines()
    assert first.startswith("8 photos, ")
    assert second.startswith("sample: 4 photos")
    assert [line.split(":")[0] for line in with_actors] == ["with 1 actor", "with 2 actors"]
    assert not sink.exists()


def test_a_run_that_began_in_the_meantime_is_continued_or_refused(
    album: Callable[..., Path],
    tiny_package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from runtime.archive import command
    from runtime.archive.record import record_of, write_record

    source, changes, runs = album("a.jpg", "b.jpg"), dict[str, float](), list[Any]()

    def other_run(*_: object) -> Any:
        work, record = runs[-1]
        write_record(work, record | changes)
        return nullcontext()

    def remembered(work: Any, package: Any) -> Any:
        runs.append((work, record_of(work, package)))
        return runs[-1][1]

    monkeypatch.setattr(command, "record_of", remembered)
    monkeypatch.setattr(command, "started", other_run)
    monkeypatch.setattr(command, "count_rows", lambda sink: 1)
    monkeypatch.setattr(command, "_restore", lambda photos, left, *_: left)

    def run(sink: str) -> int:
        given = [str(source), "-o", str(tmp_path / sink), "--model", str(tiny_package), "--actors", "1"]
        return command.archive(parser().parse_args(given))

    assert run("same") == 1
    assert "2 photos; 1 are left in" in capsys.readouterr().err
    changes["strength"] = 0.5
    with pytest.raises(SettingsError, match=r"strength 0\.5, now 1"):
        run("other")
