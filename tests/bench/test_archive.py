"""The benchmark of archives."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from base.errors import SettingsError
from bench.archive import throughput


def test_the_rate_is_that_of_the_photos_between_a_short_run_and_a_whole_one(monkeypatch):
    runs = []

    def stand_in(program: str, source: str, flag: str, output: str, *options: str) -> float:
        """Do as a program does that takes 2 s to start, and then 0.5 s a photo for each of its actors."""
        assert flag == "-o"
        assert not any(Path(output).iterdir())
        photos = sorted(Path(source).iterdir())
        for i, path in enumerate(photos, start=1):
            if i % 10:
                Path(output, path.name).touch()
        runs.append((program, *options))
        at_once = 2 if "2" in options else 1
        return 2 + len(photos) * 0.5 / at_once

    monkeypatch.setattr(throughput, "_seconds", stand_in)
    one, two, restore = throughput.measure(40, None, lambda: None)
    assert [run.rate for run in (one, two, restore)] == [2, 4, 4]
    assert [run.files for run in (one, two, restore)] == [36] * 3
    assert (one.start, one.seconds) == (14, 22)
    assert [run[0] for run in runs] == ["archive"] * 4 + ["restore"] * 2


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'gpen-edge[archive]'")
def test_too_few_photos_for_a_rate_are_refused():
    from bench.archive.benchmark import ArchiveSettings, steps

    assert steps(ArchiveSettings(restored=0)) < steps(ArchiveSettings(restored=throughput.FEW + 1))
    with pytest.raises(SettingsError, match=f"more than {throughput.FEW}"):
        steps(ArchiveSettings(restored=throughput.FEW))
