"""Runs that are interrupted, killed and resumed end with whole results and one report of all photos."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.commands.report_journal import journal_of, read_earlier
from runtime.restore import main

Pixels = NDArray[np.uint8]
Restore = Callable[..., tuple[int, str]]

POINT = """
import os, sys, threading
point, number, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
count, lock = 0, threading.Lock()

def watch(event, arguments):
    global count
    if event in ("open", "os.rename", "os.remove") and str(arguments[0]).startswith(folder):
        with lock:
            count += 1
            reached = count == point
        if reached:
            os.kill(os.getpid(), number)

sys.addaudithook(watch)
from runtime.restore import main
status = main(sys.argv[4:])
print("events:", count)
sys.exit(status)
"""
"""Runs the command line, and sends itself a signal when the files in a folder are touched so many times."""

pytestmark = pytest.mark.usefixtures("any_colours")


@pytest.fixture
def restore(tiny_package: Path, capsys: pytest.CaptureFixture[str]) -> Restore:
    def run(*arguments: object) -> tuple[int, str]:
        status = main([*map(str, arguments), "--model", str(tiny_package), "--budget", "600"])
        return status, capsys.readouterr().err

    return run


@pytest.fixture
def album(tmp_path: Path, portrait: Pixels) -> Path:
    return made_album(tmp_path / "album", portrait)


def made_album(folder: Path, portrait: Pixels) -> Path:
    """Eight photos: three with a face and four without, twins, one that is damaged."""
    (folder / "more").mkdir(parents=True)
    small = Image.fromarray(portrait[::2, ::2])
    small.save(folder / "0.png")
    small.convert("L").save(folder / "0.tiff")
    small.rotate(2).save(folder / "more" / "0.jpg")
    plain = Image.new("RGB", (60, 40), (90, 80, 70))
    for name in ("1.png", "1.gif", "more/1.jpg", "more/plain.png"):
        plain.save(folder / name)
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff damaged")
    return folder


def told(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def entries(report: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a report by photo, without what differs from run to run."""
    photos = told(report)["photos"]
    assert len({entry["photo"] for entry in photos}) == len(photos)
    drop = ("milliseconds", "output")
    return {entry["photo"]: {k: v for k, v in entry.items() if k not in drop} for entry in photos}


def run_until(
    package: Path, album: Path, place: Path, point: int, number: int, *more: str
) -> subprocess.CompletedProcess[str]:
    """Restore an album into a place, in a process that sends itself a signal at a point; never at 0."""
    place.mkdir(exist_ok=True)
    outputs = ["-o", place / "out", "--compare", place / "sheets", "--report", place / "r.json"]
    settings = ["--recursive", "--threads", 1, "--model", package, "--budget", 600]
    words = [sys.executable, "-c", POINT, point, int(number), place, album, *outputs, *settings, *more]
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def undisturbed(
    portrait: Pixels, tiny_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, int]:
    """A larger album, what an undisturbed run made of it, and how often that touched files."""
    folder = tmp_path_factory.mktemp("undisturbed")
    album, whole = made_album(folder / "album", portrait), folder / "whole"
    for i in range(4):
        shutil.copy(album / "1.png", album / "more" / f"plain {i}.png")
    ended = run_until(tiny_package, album, whole, 0, 0)
    assert ended.returncode == 3, ended.stderr
    return album, whole, int(re.findall(r"events: (\d+)", ended.stdout)[0])


def test_a_run_that_is_interrupted_and_killed_ends_as_one_that_is_not(
    undisturbed: tuple[Path, Path, int], tiny_package: Path, tmp_path: Path
) -> None:
    album, whole, events = undisturbed
    broken = tmp_path / "broken"
    # After so little that three times that, and what is in hand each time, are less than there is to do.
    ends = [(signal.SIGTERM, events // 7), (signal.SIGKILL, events // 5), (signal.SIGINT, events // 6)]
    more: list[str] = []
    for number, point in ends:
        left = set(hidden(broken)) if broken.exists() else set()
        ended = run_until(tiny_package, album, broken, point, number, *more)
        more = ["--resume"]
        if number == signal.SIGKILL:
            assert ended.returncode == -signal.SIGKILL
            continue
        assert ended.returncode == 130, ended.stderr
        assert ended.stderr.splitlines()[-1] == "interrupted"
        assert set(hidden(broken)) <= left  # what a killed run has left, where the work had not begun
        if (report := broken / "r.json").exists():
            outputs = {entry.get("output") for entry in told(report)["photos"]} - {None}
            assert outputs == {str(path) for path in (broken / "out").rglob("*.*") if path.is_file()}
    ended = run_until(tiny_package, album, broken, 0, 0, "--resume")
    assert ended.returncode == 3, ended.stderr
    assert files(broken / "out") == files(whole / "out")
    assert files(broken / "sheets") == files(whole / "sheets")
    assert entries(broken / "r.json") == entries(whole / "r.json")
    assert len(entries(whole / "r.json")) == 12
    assert told(broken / "r.json")["summary"] == told(whole / "r.json")["summary"]
    assert hidden(broken) == []


def test_a_summary_ends_a_run_and_resume_merges_the_reports(
    restore: Restore, album: Path, tmp_path: Path
) -> None:
    report = tmp_path / "r.json"
    options = ("-o", tmp_path / "out", "--recursive", "--report", report)
    status, said = restore(album, *options)
    assert status == 3
    assert "\n8 photos: 3 restored, 4 without a face, 1 failed" in said
    assert "more/plain.png: no face found" in said
    assert f"failed: {album}/damaged.jpg" in said
    summary = told(report)["summary"]
    assert summary | {"to_look_at": 0} == {  # random weights make other people
        "photos": 8,
        "restored_earlier": 0,
        "restored": 3,
        "no_face": 4,
        "left_alone": 0,
        "failed": 1,
        "not_yet": 0,
        "to_look_at": 0,
    }
    assert (tmp_path / "out" / "1-2.png").exists()  # the twin of 1.png
    first = entries(report)
    status, said = restore(album, *options, "--resume")
    assert status == 3
    assert "7 of 8 photos are already restored\n" in said
    assert "\n8 photos: 3 restored, 4 without a face, 1 failed" in said
    assert entries(report) == first
    Image.new("RGB", (30, 30)).save(album / "damaged.jpg")
    status, said = restore(album, *options, "--resume")
    assert status == 0
    assert told(report)["summary"]["failed"] == 0
    assert [entry["photo"] for entry in told(report)["photos"]] == sorted(first)
    status, said = restore(album, *options, "--resume")
    assert status == 0
    assert len(entries(report)) == 8


def test_results_that_need_a_look_are_listed(restore: Restore, portrait: Pixels, tmp_path: Path) -> None:
    album = tmp_path / "album"
    (album / "1980s").mkdir(parents=True)
    inked = portrait.copy()
    inked[100:150, 190:290] = (20, 40, 160)
    Image.fromarray(inked).save(album / "1980s" / "inked.png")
    Image.fromarray(portrait).save(album / "clean.png")
    report = tmp_path / "r.json"
    status, said = restore(album, "-o", tmp_path / "out", "--recursive", "--report", report)
    assert status == 0
    assert said.splitlines()[-2:] == [
        "2 photos: 2 restored, 1 to look at",
        "look at 1980s/inked.png: missing-information",
    ]
    (look,) = told(report)["look_at"]
    assert look["photo"] == str(album / "1980s" / "inked.png")
    assert look["output"] == str(tmp_path / "out" / "1980s" / "inked.png")
    assert look["warnings"] == ["missing-information"]


def test_warnings_of_settings_come_once_a_run_and_shared_ones_once_a_photo(
    restore: Restore, portrait: Pixels, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    album.mkdir()
    face = Image.fromarray(portrait).crop((150, 20, 320, 260)).resize((30, 42))
    for i in range(2):
        picture = Image.fromarray(np.concatenate([portrait, portrait], axis=1))
        for x in (8, 60, 500, 980):
            picture.paste(face, (x, 20 + i))
        picture.save(album / f"{i}.png")
    _, said = restore(album, "-o", tmp_path / "out", "--iterations", 2)
    slow = [line for line in said.splitlines() if "slow-convergence" in line]
    assert len(slow) == 1
    assert slow[0].startswith("slow-convergence: 2 iterations at step 0.1 go only 19% of the way")
    tiny = [line for line in said.splitlines() if "tiny-face" in line]
    assert [re.sub(r"\d+ faces", "N faces", line) for line in tiny] == [
        f"{i}.png: tiny-face: N faces under 24 pixels were left alone" for i in range(2)
    ]


def test_other_settings_are_named_and_marked(restore: Restore, album: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    options = ("-o", tmp_path / "out", "--recursive", "--report", report)
    restore(album, *options, "--preset", "film-scan")
    (tmp_path / "out" / "0.png").unlink()
    (tmp_path / "out" / "more" / "1.jpg").unlink()
    _, said = restore(album, *options, "--preset", "classic", "--resume")
    (line,) = (line for line in said.splitlines() if line.startswith("restored before with other settings"))
    assert "latent_step_decay" in line
    assert ", now 1" in line
    assert "grain on, now off" in line
    assert "0.tiff" in line
    assert "0.png" not in line
    found = entries(report)
    for name in ("0.png", "more/1.jpg"):
        assert "other_settings" not in found[str(album / name)]
    other = found[str(album / "more/0.jpg")]["other_settings"]
    assert other["grain"] is True
    assert "iterations" in other
    assert told(report)["settings"]["grain"] is False
    restore(album, *options, "--preset", "film-scan", "--resume")
    found = entries(report)
    assert "other_settings" in found[str(album / "0.png")]
    assert "other_settings" not in found[str(album / "more/0.jpg")]


def test_results_of_a_run_without_a_report_are_in_the_report_of_the_next(
    restore: Restore, album: Path, tmp_path: Path
) -> None:
    options = ("-o", tmp_path / "out", "--recursive")
    restore(album, *options)
    _, said = restore(album, *options, "--resume")
    assert "their settings are known only with --report" in said
    (tmp_path / "out" / "0.png").unlink()
    status, said = restore(album, *options, "--resume", "--report", tmp_path / "r.json")
    assert status == 3
    assert said.splitlines()[-1] == "8 photos: 6 restored before, 1 restored, 1 failed"
    outcomes = [entry["outcome"] for entry in told(tmp_path / "r.json")["photos"]]
    assert outcomes.count("restored-earlier") == 6
    assert len(outcomes) == 8


def test_a_photo_keeps_its_result_when_a_twin_arrives(restore: Restore, album: Path, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "out", "--report", tmp_path / "r.json")
    (album / "1.png").unlink()
    restore(album, *options)
    before = (tmp_path / "out" / "1.png").read_bytes()  # of 1.gif
    Image.new("RGB", (50, 20)).save(album / "1.png")
    restore(album, *options, "--resume")
    assert (tmp_path / "out" / "1.png").read_bytes() == before
    with Image.open(tmp_path / "out" / "1-2.png") as later:
        assert later.size == (50, 20)


@pytest.mark.parametrize("has_report", [True, False])
def test_results_and_sheets_among_the_photos_are_not_taken_for_photos(
    restore: Restore, portrait: Pixels, tmp_path: Path, has_report: bool
) -> None:
    folder, link = tmp_path / "album", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    small = Image.fromarray(portrait[::2, ::2])
    for i in range(2):
        small.rotate(i).save(folder / f"{i}.gif")
    options = ("-o", folder, "--compare", link, *(("--report", tmp_path / "r.json") if has_report else ()))
    assert restore(folder, *options)[0] == 0
    whole = files(folder)
    assert len(whole) == 6
    (folder / "1.png").unlink()
    for _ in range(2):
        status, said = restore(folder, *options, "--resume")
        assert status == 0, said
        assert "results of an earlier run" in said
        assert files(folder) == whole
    if has_report:
        assert list(entries(tmp_path / "r.json")) == [str(folder / f"{i}.gif") for i in range(2)]


def test_the_report_is_found_again_from_another_folder(
    restore: Restore, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album.parent)
    restore("album", "-o", "out", "--recursive", "--report", "r.json")
    monkeypatch.chdir(album)
    status, _ = restore(".", "-o", "../out", "--recursive", "--report", "../r.json", "--resume")
    assert status == 3
    assert len(entries(album.parent / "r.json")) == 8
    assert all("other_settings" not in entry for entry in told(album.parent / "r.json")["photos"])


@pytest.mark.parametrize(
    "content", [b"", b"mine", b"[]", b"{}", b'{"photos": 3}', b"\xff\xfe", b"[" * 100_000], ids=range(7)
)
def test_what_is_no_report_is_not_replaced_by_one(
    restore: Restore, album: Path, tmp_path: Path, content: bytes
) -> None:
    report = tmp_path / "r.json"
    report.write_bytes(content)
    status, said = restore(album, "-o", tmp_path / "out", "--report", report, "--resume")
    assert status == 2
    assert "is not a report that could be continued" in said
    assert report.read_bytes() == content


def test_odd_reports_and_truncated_journals_are_read_as_far_as_possible(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    odd = [1, {}, {"photo": 3}, {"photo": "a", "look_at": 1, "output": [], "other_settings": "x"}]
    report.write_text(json.dumps({"photos": odd, "settings": 3, "package": []}))
    earlier = read_earlier(report)
    assert [entry["photo"] for entry in earlier.entries.values()] == ["a"]
    assert earlier.outputs == {}
    lines = [{"header": {"settings": {}}}, {"entry": {"photo": "/b"}}, {"entry": {"photo": "/c"}}]
    text = "\n".join(map(json.dumps, lines))
    journal_of(report).write_text(text[:-5])
    assert list(read_earlier(report).entries) == ["/b"]
    journal_of(report).write_text(text[:10])
    assert list(read_earlier(report).entries) == [str(Path.cwd() / "a")]


def test_outputs_that_exist_are_refused_with_a_hint(restore: Restore, album: Path, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "out", "--recursive")
    restore(album, *options)
    status, said = restore(album, *options)
    assert status == 2
    assert said.count("\n") == 1
    assert "exists, and 6 more: continue an earlier run with --resume" in said


def test_photos_in_folders_of_a_folder_are_hinted_at(restore: Restore, album: Path, tmp_path: Path) -> None:
    status, said = restore(album.parent, "-o", tmp_path / "out")
    assert status == 2
    assert f"the folder {album.parent} holds no photo, but its subfolders do: add --recursive" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recursive", [True, False])
def test_pictures_that_cannot_be_read_are_not_passed_over_in_silence(
    restore: Restore, album: Path, tmp_path: Path, recursive: bool
) -> None:
    for name in ("raw.CR2", "scene.jxl", ".hidden.jxl", "DSCF0001.RAF", "notes.txt"):
        (album / name).write_bytes(b"?")
    options = ["--recursive"] if recursive else []
    _, said = restore(album, "-o", tmp_path / "out", *options)
    assert "DSCF0001.RAF and 2 more: left out, since such files (.cr2, .jxl, .raf) cannot be read" in said
    assert not list((tmp_path / "out").glob("**/*.jxl"))


def test_a_folder_of_pictures_that_cannot_be_read_holds_no_photo(restore: Restore, tmp_path: Path) -> None:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for name in ("scene.jxl", "deeper/scene.jxl"):
        (tmp_path / "in" / name).write_bytes(b"?")
    status, said = restore(tmp_path / "in", "-o", tmp_path / "out")
    assert status == 2
    assert "scene.jxl: left out" in said
    assert "holds no photo: name another folder" in said


def test_a_sheet_does_not_stay_without_its_result(restore: Restore, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    Image.new("RGB", (16400, 2)).save(wide)  # wider than a WebP can be
    status, _ = restore(
        wide, "-o", tmp_path / "out.webp", "--compare", tmp_path / "s.png", "--report", tmp_path / "r"
    )
    assert status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["wide.png"]
