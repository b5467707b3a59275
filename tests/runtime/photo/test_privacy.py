"""Faces are personal data: nothing is sent, nothing of a picture is logged, drafts are the owner's alone."""

import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = """
import os, runpy, stat, sys
from pathlib import Path

seen = Path({seen!r})

def watch(event, arguments):
    if event.startswith("socket."):
        print("NETWORK", event, arguments, file=sys.stderr, flush=True)
        os._exit(99)
    if event == "os.rename":
        source = os.fsdecode(arguments[0])
        if source.endswith(".tmp"):
            with seen.open("a") as file:
                file.write(f"renamed {{os.path.basename(source)}}\\n")

# When a draft is synced its content is there, and its mode must be the owner's alone.
fsync = os.fsync
def noting(descriptor):
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        with seen.open("a") as file:
            file.write(f"synced {{stat.S_IMODE(status.st_mode):o}}\\n")
    return fsync(descriptor)

os.fsync = noting
sys.addaudithook(watch)
sys.argv = {command!r}
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def run_watched(folder: Path, *command: object) -> tuple[subprocess.CompletedProcess[bytes], list[str]]:
    """Run a module in a process in which any use of a socket ends it with 99; return also what it synced."""
    seen = folder / "seen"
    seen.touch()
    program = AUDIT.format(seen=str(seen), command=[str(word) for word in command])
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=600, check=False)
    return ended, seen.read_text().splitlines()


def test_the_guard_ends_whatever_opens_a_socket(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text("import socket; socket.socket()")
    program = AUDIT.format(seen=str(tmp_path / "seen"), command=["caller"])
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == 99


@pytest.mark.parametrize("command", ["restore", "watch"])
def test_a_restoration_opens_no_socket_logs_no_pixels_and_hides_its_drafts(
    tiny_package: Path, portrait_file: Path, tmp_path: Path, command: str
) -> None:
    said = ["--model", tiny_package, "--threads", 1, "--strip-metadata"]
    out = tmp_path / "out"
    if command == "restore":
        sheets = ["--report", tmp_path / "report.json", "--compare", tmp_path / "sheet.png"]
        out.mkdir()
        ended, seen = run_watched(tmp_path, "runtime.restore", portrait_file, "-o", out, *sheets, *said)
    else:
        (tmp_path / "in").mkdir()
        portrait_file.rename(tmp_path / "in" / portrait_file.name)
        once = ["--once", "--settle", 0, "--log-format", "json"]
        ended, seen = run_watched(tmp_path, "runtime.watch", tmp_path / "in", out, *once, *said)
    assert ended.returncode == 0, ended.stderr.decode()
    assert (out / portrait_file.name).is_file()
    assert any(line.startswith("renamed") for line in seen)
    modes = {line.split()[1] for line in seen if line.startswith("synced")}
    assert modes == {"600"}
    told = ended.stdout + ended.stderr
    assert len(told) < 4000
    assert max(map(len, told.splitlines())) < 1000  # no array and no encoded picture fits
    left = [path.name for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]
    assert left == []
