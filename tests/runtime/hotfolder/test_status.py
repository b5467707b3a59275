"""The heartbeat file is whole whenever it is read, and leaves nothing beside it for long."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from base.errors import WatchError
from runtime.hotfolder.status import Heartbeat, Status

KILLED = """
import os, signal, sys
from pathlib import Path
from runtime.hotfolder.status import Heartbeat, Status
Path.replace = lambda draft, target: os.kill(os.getpid(), signal.SIGKILL)
Heartbeat(Path(sys.argv[1]), Status(), every=100)
"""


def test_what_a_killed_run_leaves_beside_the_heartbeat_goes_with_the_next(tmp_path: Path) -> None:
    file = tmp_path / "beat.json"
    killed = subprocess.run([sys.executable, "-c", KILLED, file], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".watch-")
    with closing(Heartbeat(file, Status(), every=0.01)):
        pass
    assert list(tmp_path.iterdir()) == [file]
    assert json.loads(file.read_text())["state"] == "starting"


def test_a_link_that_somebody_puts_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / ".watch-beat.json.tmp").symlink_to(tmp_path / "theirs")
    with closing(Heartbeat(tmp_path / "beat.json", Status(), every=100)):
        pass
    assert os.listdir(tmp_path) == ["beat.json"]  # noqa: PTH208


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b'{"state": "idle"}', b"notes", b"[1]", b"\xff"])
def test_only_a_heartbeat_or_an_emptied_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "beat.json"
    file.write_bytes(content)
    if content.strip(b"\0"):
        with pytest.raises(WatchError, match="exists and is not a heartbeat file"):
            Heartbeat(file, Status(), every=100)
        assert file.read_bytes() == content
        file.unlink()
    for _ in range(2):  # over that of the run before
        with closing(Heartbeat(file, Status(), every=100)):
            pass
    assert json.loads(file.read_text())["state"] == "starting"


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_folder_or_link_is_not_replaced_by_a_heartbeat(tmp_path: Path, kind: str) -> None:
    file, theirs = tmp_path / "beat.json", tmp_path / "theirs"
    theirs.write_text("theirs")
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(theirs)
    with pytest.raises(WatchError, match="exists and is not a heartbeat file"):
        Heartbeat(file, Status(), every=100)
    assert theirs.read_text() == "theirs"
