"""What a run shows."""

import subprocess
import sys
from pathlib import Path

import pytest

SHOWING = "from runtime.commands.batch import show; show('one', 'two'); print('restored')"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_under_the_log_ends_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", SHOWING]
        root = Path(__file__).parents[3]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, cwd=root)
    assert (done.returncode, done.stdout) == (0, "restored\n")
