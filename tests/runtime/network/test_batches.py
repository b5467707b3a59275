"""Batches of `python -m runtime.restore`: any folders, taken up again, interrupted, on a full disk."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from base.files import write_atomically
from runtime.commands.jobs import plan, remaining
from runtime.restore import main

Pixels = NDArray[np.uint8]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Five photos without a face, which are quick, in folders of folders."""
    folder = tmp_path / "album"
    for name in ("a.png", "b/a.png", "b/c/d e.png", "b/c/line\nend.png", ".hidden/a.png", "b/._a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (90, 80, 70)).save(folder / name)
    Image.new("RGB", (40, 30)).save(os.fsencode(folder) + b"/b/caf\xe9.png")
    (folder / "b" / "notes.txt").write_text("no photo")
    (folder / "b" / "again").symlink_to(folder)
    return folder


@pytest.fixture
def restore(tiny_package: Path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def run(*arguments: object) -> tuple[int, str]:
        status = main([*map(str, arguments), "--model", str(tiny_package)])
        return status, capsys.readouterr().err

    return run


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


PHOTOS = sorted(["a.png", "b/a.png", "b/c/d e.png", "b/c/line\nend.png", os.fsdecode(b"b/caf\xe9.png")])


def test_recursive_mirrors_folders_and_skips_links_and_hidden_ones(
    restore, album: Path, tmp_path: Path
) -> None:
    status, said = restore(album, "-o", tmp_path / "out", "--recursive", "--report", tmp_path / "r.json")
    assert status == 0
    assert files(tmp_path / "out") == PHOTOS
    assert "line\\nend.png: no face found" in said
    told = json.loads((tmp_path / "r.json").read_text())["photos"]
    assert len(told) == 5
    assert any("caf\\udce9" in entry["photo"] for entry in told)


def test_results_inside_the_album_are_not_taken_for_photos(restore, album: Path) -> None:
    for _ in range(2):
        status, _ = restore(album, "-o", album / "out", "--recursive", "--resume")
        assert status == 0
    assert files(album / "out") == PHOTOS


def test_resume_restores_only_what_is_not_there(restore, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "b").mkdir(parents=True)
    (out / "b" / "a.png").write_bytes(b"as it was")
    (album / "a.png").write_bytes(b"broken")
    status, said = restore(album, "-o", out, "--recursive", "--resume")
    assert status == 3
    assert "1 of 5 photos are already restored" in said
    assert (out / "b" / "a.png").read_bytes() == b"as it was"
    Image.new("RGB", (40, 30)).save(album / "a.png")
    status, said = restore(album, "-o", out, "--recursive", "--resume")
    assert status == 0
    assert "4 of 5 photos are already restored" in said
    assert files(out) == PHOTOS


def test_resume_removes_stale_drafts_but_none_that_are_being_written(
    restore, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "b"
    out.mkdir(parents=True)
    script = (
        "import os, signal, sys; from pathlib import Path; from base.files import write_atomically\n"
        "with write_atomically(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, out / "c.png"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(files(out)) == 1
    with write_atomically(out / "other.png") as file:
        assert len(files(out)) == 2
        status, said = restore(album, "-o", tmp_path / "out", "--recursive", "--resume")
        file.write(b"theirs")
    assert status == 0
    assert "1 temporary files of an earlier run were removed" in said
    assert files(tmp_path / "out") == sorted([*PHOTOS, "b/other.png"])


def test_resume_does_not_take_photos_for_their_results(restore, album: Path) -> None:
    assert len(remaining(plan([album], album, None))) == 1
    status, said = restore(album, "-o", album, "--resume")
    assert status == 2
    assert "is the photo itself" in said


def test_resume_and_overwrite_exclude_each_other(restore, album: Path, tmp_path: Path) -> None:
    status, said = restore(album, "-o", tmp_path / "out", "--resume", "--overwrite")
    assert (status, said.count("\n")) == (2, 1)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_ends_a_batch_with_one_line_and_resume_goes_on(
    restore, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = [], os.fsync

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) > 2:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    status, said = restore(album, "-o", tmp_path / "out", "--recursive")
    assert status == 2
    assert said.splitlines()[-1].startswith("error: ")
    assert "No space left on device: free some space, then continue with --resume" in said.splitlines()[-1]
    assert len(files(tmp_path / "out")) == 2
    monkeypatch.undo()
    assert restore(album, "-o", tmp_path / "out", "--recursive", "--resume")[0] == 0
    assert files(tmp_path / "out") == PHOTOS


def test_an_interruption_leaves_whole_photos_and_no_others(
    tiny_package: Path, portrait: Pixels, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    first = tmp_path / "in" / "000.png"
    Image.fromarray(portrait).save(first)
    for i in range(1, 300):
        os.link(first, tmp_path / "in" / f"{i:03}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "runtime.restore", tmp_path / "in", "-o", out, "--model", tiny_package]
    command += ["--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "001.png").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)  # the others: tests/base/test_interruption.py
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130
    hint = "the photos restored so far are complete; run the same command with --resume to continue"
    assert said.splitlines()[-2:] == [hint, "interrupted"]
    assert "300 photos: " in said
    left = files(out)
    assert 2 <= len(left) < 300
    for name in left:
        with Image.open(out / name) as photo:
            photo.load()
