"""The log of the hot folder and the kiosk, where it cannot be written."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from runtime.hotfolder.log import Log
log, hard = Log("text"), resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
for _ in range(3):
    log("photo", "on a full disk")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log("photo", "there is room again")
sys.stderr.close()
sys.stderr = sys.__stdout__
log("photo", "at the end of the process")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_line_that_cannot_be_written_leaves_no_traceback(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], stderr=file, stdout=subprocess.PIPE, check=True, text=True
        )
    lines = (tmp_path / "log").read_text().splitlines()
    assert "there is room again" in lines[-1]
    assert not [line for line in lines if "disk" not in line and "room" not in line], lines
    assert not done.stdout


def test_a_process_without_standard_error_goes_on() -> None:
    script = (
        "import sys; sys.stderr = None; from runtime.hotfolder.log import Log; Log('text')('photo', 'done')"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
