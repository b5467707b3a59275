"""No command ends in a traceback because a console cannot show a character: real files.

Commands run as `python -m` runs them, in this process but for two: a start of Python takes longer than most.
"""

import io
import itertools
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"
CONSOLES = ("ascii", "ascii:strict", "cp1252", "cp437")
STRANGE = "модель 写真 é"
"""A name of which no console shows all."""

HELP = (
    *("runtime.restore", "runtime.watch", "runtime.check", "export", "export parsing", "engines"),
    *("engines build", "calibration int8", "training prepare", "bench", "bench quality"),
)


class Console:
    """Runs commands, and keeps what they write to a console of an encoding."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def run(
        self, console: str, *command: object, folder: Path = ROOT
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command with a console's encoding and error handler, as in $PYTHONIOENCODING."""
        encoding, _, errors = console.partition(":")
        streams = [io.TextIOWrapper(io.BytesIO(), encoding, errors or None) for _ in range(2)]
        module, *arguments = map(str, command)
        with self.patch.context() as patch:
            patch.setenv("GPEN_EDGE_CACHE", str(folder / STRANGE / "cache"))
            patch.chdir(folder)
            patch.setattr("sys.argv", [module, *arguments])
            patch.setattr("sys.stdout", streams[0])
            patch.setattr("sys.stderr", streams[1])
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
        written = []
        for stream in streams:
            stream.flush()
            written.append(stream.detach().getvalue())  # type: ignore[attr-defined]
        return subprocess.CompletedProcess(command, ended.value.code, *written)  # type: ignore[arg-type]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(monkeypatch)


def run(console: str, *command: object, folder: Path = ROOT) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in a process of its own."""
    environment = {**os.environ, "PYTHONIOENCODING": console, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["GPEN_EDGE_CACHE"] = str(folder / STRANGE / "cache")
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        cwd=folder,
        env=environment,
        timeout=600,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done


@pytest.mark.parametrize("command", HELP)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_every_help_is_shown(command: str, here: Console) -> None:
    done = here.run("ascii", *command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"usage: ")
    assert done.stdout.isascii()


@pytest.fixture
def strange(tmp_path: Path, portrait: NDArray[np.uint8], tiny_package: Path) -> Path:
    """A folder with a package, a photo and portraits, all of a strange name."""
    folder = tmp_path / STRANGE
    shutil.copytree(tiny_package, folder / "package")
    (folder / "portraits").mkdir()
    for i in range(8):
        picture = np.roll(portrait, 5 * i, axis=0)[..., ::-1]
        _, data = cv2.imencode(".png", picture[:400, :400])
        (folder / "portraits" / f"{STRANGE} {i}.png").write_bytes(data.tobytes())
    return folder


Command = Callable[[Path], tuple[object, ...]]


def photo(folder: Path, number: int = 0) -> Path:
    return folder / "portraits" / f"{STRANGE} {number}.png"


WORK: dict[str, Command] = {
    "restore": lambda f: (
        "runtime.restore",
        *(photo(f), "-o", f / "out.jpg", "--model", f / "package"),
        *("--compare", f / "sheet.png", "--list-faces", f / "faces.png", "--report", f / "report.json"),
    ),
    "restore a folder": lambda f: (
        "runtime.restore",
        *(f / "portraits", "-o", f / "out", "--model", f / "package", "--threads", 1),
    ),
    "watch": lambda f: (
        "runtime.watch",
        *(f / "portraits", f / "out", "--once", "--settle", 0, "--model", f / "package", "--threads", 1),
    ),
    "check": lambda f: ("runtime.check", photo(f), photo(f), "--model", f / "package", "--threads", 1),
    "export parsing": lambda f: (
        "export",
        *("parsing", DATA / "tiny-parsenet.pth", "-o", f / "package", "--name", STRANGE),
    ),
    "engines list": lambda f: ("engines", "list"),
    "engines inspect": lambda f: ("engines", "inspect", f / "package"),
    "calibration latents": lambda f: (
        "calibration",
        *("latents", f / "package", "--images", f / "portraits", "--aligned", "--threads", 1),
    ),
    "calibration audit": lambda f: (
        "calibration",
        *(
            "audit",
            f / "package",
            "--images",
            f / "portraits",
            "--aligned",
            "--threads",
            1,
            "-o",
            f / "a.png",
        ),
    ),
    "training prepare": lambda f: ("training", "prepare", f / "portraits", "-o", f / "data"),
    "bench scenarios": lambda f: ("bench", "scenarios", "--model", f / "package", "-o", f / "sheets"),
}


@pytest.mark.parametrize(("what", "console"), list(zip(WORK, itertools.cycle(CONSOLES), strict=False)))
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_work_in_folders_of_any_name_is_shown(what: str, console: str, strange: Path, here: Console) -> None:
    done = here.run(console, *WORK[what](strange), folder=strange.parent)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("export", f"{STRANGE}.pth", "-o", "x"),
        ("engines", "inspect", STRANGE + "!"),
        ("training", "split", f"{STRANGE}!"),
        ("bench", "roofline", STRANGE + "!"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_an_error_about_any_name_is_one_line(command: tuple[str, ...], tmp_path: Path, here: Console) -> None:
    done = here.run("ascii:strict", *command, folder=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert b"error: " in done.stderr


def test_an_error_about_any_name_is_one_line_in_a_process_too(tmp_path: Path) -> None:
    done = run("ascii:strict", "runtime.restore", f"{STRANGE}.jpg", "-o", "x.jpg", folder=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert b"error: " in done.stderr


def test_the_demo_is_shown(tmp_path: Path) -> None:
    done = run("ascii", "runtime.demo", folder=tmp_path)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"before/after picture: " in done.stdout
