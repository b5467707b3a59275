"""`python -m runtime.watch` as a program: signals, file events, locks, what it tells, and being killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.kills.benchmark import KillSettings, Series, measure
from runtime.watch import main

MINDING_PERMISSIONS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""What has a program of root's be stopped by permissions as any other."""
QUICK = ("--settle", "0.05", "--backoff", "0.01", "--threads", "1")


class Watcher:
    """A watcher in a process of its own, logging JSON."""

    def __init__(self, folder: Path, package: Path, *arguments: str, before: tuple[str, ...] = ()) -> None:
        self.photos, self.output, self.log = folder / "in", folder / "out", folder / "log"
        self.photos.mkdir(exist_ok=True)
        command = [
            *before,
            sys.executable,
            "-m",
            "runtime.watch",
            self.photos,
            self.output,
            "--model",
            package,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *QUICK, "--log-format", "json", *arguments], stderr=log
            )

    def told(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + 600
        while not what():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(600)


@pytest.fixture
def start(tmp_path: Path, tiny_package: Path) -> Iterator[Callable[..., Watcher]]:
    started: list[Watcher] = []

    def run(*arguments: str, before: tuple[str, ...] = ()) -> Watcher:
        started.append(Watcher(tmp_path, tiny_package, *arguments, before=before))
        return started[-1]

    yield run
    for watcher in started:
        watcher.process.kill()
        watcher.process.wait()


def test_it_watches_tells_and_ends_well(start, portrait_file: Path, tmp_path: Path) -> None:
    for name in ("Low-Light", "holiday", "low-lite", "done"):
        (tmp_path / "in" / name).mkdir(parents=True)
    # It settles long enough that a busy machine, which lets the copying below wait, does not cut it in two.
    watcher = start("--settle", "4", "--metrics-port", "0", "--rescan", "1000", "--heartbeat-every", "0.05")
    heartbeat = watcher.output / ".watch" / "heartbeat.json"
    watcher.wait_for(lambda: heartbeat.exists() and json.loads(heartbeat.read_text())["state"] == "idle")

    # A slow copy by another program, into a folder that is new, then a move into place.
    folder = watcher.photos / "film-scan"
    folder.mkdir()
    content = portrait_file.read_bytes()
    with (folder / "slow.png").open("wb") as slow:
        for start_at in range(0, len(content), 100_000):
            slow.write(content[start_at : start_at + 100_000])
            slow.flush()
    shutil.copy(portrait_file, watcher.photos / "copying.part")
    (watcher.photos / "copying.part").rename(watcher.photos / "moved.png")
    (watcher.photos / "bad.png").write_text("hello")
    watcher.wait_for(lambda: len(watcher.told("done")) == 2 and len(watcher.told("failed")) == 1)

    done = {line["photo"]: line for line in watcher.told("done")}
    assert set(done) == {"film-scan/slow.png", "moved.png"}
    assert set(done["moved.png"]["milliseconds"]) >= {"read", "detect", "network", "write"}
    assert (done["film-scan/slow.png"]["preset"], done["moved.png"]["preset"]) == ("film-scan", "standard")
    assert {(line["backend"], line["faces"]) for line in done.values()} == {("onnxruntime on cpu", 1)}
    (backend,) = watcher.told("backend")
    assert (backend["backend"], backend["device"]) == ("onnxruntime", "cpu")
    assert watcher.told("presets")[0]["preset"] == "standard"
    (doubt,) = watcher.told("folder-name")
    assert (doubt["folder"], doubt["level"]) == ("low-lite", "warning")
    assert "did you mean low-light?" in doubt["message"]
    assert {line["folder"]: line["preset"] for line in watcher.told("folder")} == {
        "Low-Light": "low-light",
        "holiday": "standard",
        "low-lite": "standard",
    }
    with (
        Image.open(watcher.output / "moved.png") as full,
        Image.open(watcher.output / "film-scan/slow.png") as film,
    ):
        assert full.tobytes() != film.tobytes()  # the folder's preset

    port = watcher.told("metrics")[0]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        figures = answer.read().decode().splitlines()
    assert 'gpen_edge_photos_total{outcome="done"} 2.0' in figures
    assert 'gpen_edge_photos_total{outcome="no-face"} 0.0' in figures
    assert 'gpen_edge_failures_total{cause="photo"} 1.0' in figures
    assert 'gpen_edge_warnings_total{code="implausible-colours"} 2.0' in figures
    assert 'gpen_edge_backend{backend="onnxruntime on cpu"} 1.0' in figures
    assert 'gpen_edge_stage_seconds_count{stage="network"} 2.0' in figures
    assert "gpen_edge_queue_length 0.0" in figures
    assert watcher.end() == 0
    beat = json.loads(heartbeat.read_text())
    assert (beat["state"], beat["done"], beat["failures"]) == ("stopped", 2, {"photo": 1})
    assert (beat["backend"], beat["no_face"]) == ("onnxruntime on cpu", 0)
    assert oct(watcher.output.joinpath(".watch").stat().st_mode)[-3:] == "700"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_present_photo_and_takes_no_more(
    start, portrait_file: Path, tmp_path: Path, number: int, status: int
) -> None:
    (tmp_path / "in").mkdir()
    for i in range(200):
        os.link(portrait_file, tmp_path / "in" / f"{i:03}.png")
    watcher = start("--originals", "leave")
    watcher.wait_for(lambda: watcher.told("done"))
    assert watcher.end(number) == status
    delivered = [line["output"] for line in watcher.told("done")]
    assert 1 <= len(delivered) < 200
    assert sorted(delivered) == sorted(path.name for path in watcher.output.glob("[!.]*.png"))
    assert not list(watcher.output.rglob(".*.tmp"))


def test_a_folder_has_one_watcher(start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watcher = start()
    watcher.wait_for(lambda: watcher.told("watching"))
    (tmp_path / "other").mkdir()
    for photos, output in (("in", "out2"), ("other", "out")):
        assert main([str(tmp_path / photos), str(tmp_path / output)]) == 2
        assert "another watcher works on" in capsys.readouterr().err
    watcher.process.kill()
    watcher.process.wait()
    again = start("--once")
    assert again.process.wait(600) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none", "out"], "does not exist"),
        (["in", "in/out"], "lie in each other"),
        (["in", "in"], "lie in each other"),
        (["in", "file/out"], "cannot be written"),
        (["in", "/proc/out"], "cannot be written"),
        (["/proc/self", "out"], "may not be written to"),
        (["in", "out", "--settle", "-1"], "--settle"),
        (["in", "out", "--settle", "nan"], "--settle"),
        (["in", "out", "--queue", "0"], "--queue"),
        (["in", "out", "--heartbeat-every", "0"], "--heartbeat-every"),
        (["in", "out", "--heartbeat-every", "inf"], "--heartbeat-every"),
        (["in", "out", "--max-megapixels", "nan"], "--max-megapixels"),
        (["in", "out", "--max-megapixels", "0"], "--max-megapixels"),
        (["in", "out", "--heartbeat", "none/beat.json"], "heartbeat"),
        (["in", "out", "--heartbeat", "file/beat.json"], "heartbeat"),
        (["in", "out", "--heartbeat", "notes.txt"], "exists and is not a heartbeat file"),
        (["in", "out", "--compare", "in/sheets"], "in the input folder"),
        (["in", "out", "--compare", "file/sheets"], "cannot be made"),
        (["in", "out", "--metrics-port", "99999"], "99999"),
        (["in", "out", "--preset", "none"], "no preset"),
        (["file", "out"], "file is a file: give the folder"),
    ],
)
def test_what_cannot_be_watched_is_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "notes.txt").write_text("notes")
    assert main([*arguments, "--once"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_a_damaged_journal_is_named_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    journal = tmp_path / "out" / ".watch" / "journal.sqlite"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"no journal at all " * 100)
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "--once"]) == 2
    assert "journal.sqlite cannot be used" in capsys.readouterr().err
    assert journal.read_bytes().startswith(b"no journal")


@pytest.mark.parametrize(
    ("missing", "arguments"), [("watchdog", []), ("prometheus_client", ["--metrics-port", "0"])]
)
def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, missing: str, arguments: list[str]
) -> None:
    (tmp_path / "in").mkdir()
    script = f"import sys; sys.modules['{missing}'] = None; from runtime.watch import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        script,
        str(tmp_path / "in"),
        str(tmp_path / "out"),
        "--once",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("which is not installed: pip install 'gpen-edge[watch]'")


def test_a_full_file_system_is_waited_for(start, portrait_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", output]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here: the tests of the station inject the error instead")
    try:
        (output / "ballast").write_bytes(bytes(700_000))
        (tmp_path / "in").mkdir()
        shutil.copy(portrait_file, tmp_path / "in" / "a.png")
        watcher = start("--originals", "leave")
        watcher.wait_for(lambda: len(watcher.told("disk-full")) >= 2)
        assert not list(output.rglob("*.png"))
        (output / "ballast").unlink()
        watcher.wait_for(lambda: watcher.told("done"))
        assert watcher.end() == 0
        with Image.open(output / "a.png") as photo:
            photo.load()
        assert not list(output.rglob(".*.tmp"))
    finally:
        subprocess.run(["umount", "-l", output], check=False)


def test_a_read_only_output_ends_it_with_one_line_and_loses_nothing(
    start, portrait_file: Path, tmp_path: Path
) -> None:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("permissions do not stop root, and it cannot be told to mind them")
    watcher = start(before=MINDING_PERMISSIONS if os.geteuid() == 0 else ())
    shutil.copy(portrait_file, watcher.photos / "a.png")
    watcher.wait_for(lambda: watcher.told("done"))
    folders = [watcher.output, watcher.output / "done"]
    try:
        for folder in folders:
            folder.chmod(0o555)
        shutil.copy(portrait_file, watcher.photos / "b.png")
        assert watcher.process.wait(600) == 2
    finally:
        for folder in folders:
            folder.chmod(0o755)
    (line,) = [line for line in watcher.log.read_text().splitlines() if not line.startswith("{")]
    assert line.startswith("error: the output folder")
    assert "cannot be used" in line
    assert (watcher.photos / "b.png").exists()
    again = start("--once")
    assert again.process.wait(600) == 0
    names = {str(path.relative_to(again.output)) for path in again.output.rglob("*.png")}
    assert names == {"a.png", "b.png", "done/a.png", "done/b.png"}
    assert not list(again.output.rglob(".*.tmp"))


def test_photos_come_out_once_though_the_watcher_is_killed(tiny_package: Path) -> None:
    """A short run of `python -m bench kills`."""
    settings = KillSettings(kills=4, package=str(tiny_package), stride=23)
    report = measure(settings, lambda: None, [Series("move", "same disk")])
    assert report.figures["wrong"] == []
    assert report.figures["kills"] == sum(report.figures["killed_before"].values()) == 4
    assert report.figures["photos"] >= 6
