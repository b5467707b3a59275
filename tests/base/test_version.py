"""The program knows its version, and works without one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from base.version import installed_version

ROOT = Path(__file__).parents[2]


def test_a_clone_that_is_not_installed_has_version_0(tmp_path: Path) -> None:
    assert installed_version()[0].isdigit()
    shutil.copytree(ROOT / "base", tmp_path / "base")
    printing = "from base.version import installed_version; print(installed_version())"
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-S", "-c", printing]  # without what is installed
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
