"""The kiosk's benchmark leaves no server behind."""

from contextlib import suppress
from pathlib import Path

import pytest

from base.errors import GpenEdgeError
from bench.kiosk import process
from bench.kiosk.process import ServerProcess


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux")
def test_a_server_that_does_not_start_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LONGEST", 0.0)
    with pytest.raises(GpenEdgeError, match="does not start"):
        ServerProcess(tmp_path, package=None, threads=1)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            assert bytes(tmp_path) not in path.read_bytes()
