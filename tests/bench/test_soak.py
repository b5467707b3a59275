"""The soak's line tells growth from noise, and a short one finds handles and threads flat."""

import gc
import json
import mmap
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from base import command_line
from bench.__main__ import main
from bench.soak.benchmark import BLOCKS, MEBIBYTE, ROUND, SMALL, Sample, look, trend

ROOT = Path(__file__).parents[2]


def samples(memory: np.ndarray, hours: float = 1.0) -> list[Sample]:
    return [
        Sample(i + 1, 3600 * hours * i / (len(memory) - 1), float(value), 9, 4)
        for i, value in enumerate(memory)
    ]


def test_a_leak_is_told_with_its_slope() -> None:
    rng = np.random.default_rng(0)
    found = trend(samples(300 + 12 * np.linspace(0, 1, 2000) + rng.normal(0, 3, 2000)), "memory")
    assert found.per_hour == pytest.approx(12, abs=1)
    assert found.lowest > 0
    assert found.lowest < 12 < found.highest
    assert found.noise == pytest.approx(3, rel=0.1)
    assert not found.flat


def test_photos_of_different_sizes_are_no_leak() -> None:
    rng = np.random.default_rng(1)
    found = trend(samples(300 + 20 * (np.arange(1200) % 6) + rng.normal(0, 2, 1200)), "memory")
    assert found.flat
    assert found.lowest < 0 < found.highest


@given(st.floats(-50, 50), st.floats(0.01, 10), st.integers(BLOCKS, 60))
def test_a_straight_line_has_its_own_slope_whatever_its_length(
    slope: float, hours: float, count: int
) -> None:
    found = trend(samples(400 + slope * hours * np.linspace(0, 1, count), hours), "memory")
    assert found.per_hour == pytest.approx(slope, abs=1e-6)
    assert found.growth == pytest.approx(slope * hours, abs=1e-6)
    assert found.flat == (found.growth <= max(found.noise, SMALL["memory"]) or found.lowest <= 0)


def test_a_constant_is_flat_and_what_shrinks_is_flat_too() -> None:
    assert trend(samples(np.full(50, 7.0)), "memory").flat
    assert trend(samples(np.linspace(9, 8, 50)), "memory").flat


def test_what_is_held_is_seen(tmp_path) -> None:
    gc.collect()  # or files of earlier tests might be closed in between
    before, stop = look(1, 0), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    # Straight from the system: an allocator may have kept as much of what earlier tests freed.
    with (tmp_path / "file").open("w"), mmap.mmap(-1, 64 * MEBIBYTE) as ballast:
        ballast.write(b"x" * 64 * MEBIBYTE)
        after = look(2, 1)
    stop.set()
    thread.join()
    assert (after.handles - before.handles, after.threads - before.threads) == (1, 1)
    assert 56 < after.memory - before.memory < 128  # libraries may get some of their own meanwhile


def test_a_short_soak_finds_handles_and_threads_flat(tiny_package, tmp_path) -> None:
    small = ["--photos", "28", "--megapixels", "0.05", "--model", str(tiny_package), "--threads", "1"]
    command = [sys.executable, "-m", "bench", "soak", *small, "-o", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    # Memory may grow in the first rounds.
    assert done.returncode in (command_line.DONE, command_line.SOME_FAILED)
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert (figures["photos"], figures["damaged"]) == (28, 28 // ROUND)
    held = figures["samples"][ROUND:]
    assert len({sample["handles"] for sample in held}) == 1
    threads = [sample["threads"] for sample in held]
    assert max(threads) - min(threads) <= 1  # one that ends late may be counted
    assert all(sample["memory"] > 20 for sample in held)
    assert figures["trends"]["handles"]["per_hour"] == 0
    assert figures["trends"].keys() == {"memory", "handles", "threads"}
    assert "| file handles |" in (tmp_path / "soak.md").read_text()
    assert "28 photos" in done.stdout
    with Image.open(tmp_path / "soak.png") as chart:
        assert min(chart.size) > 200


def test_a_soak_that_is_too_short_says_so(tiny_package, tmp_path, capsys) -> None:
    arguments = ["--photos", "3", "--megapixels", "0.05", "--model", str(tiny_package), "--threads", "1"]
    assert main(["soak", *arguments, "-o", str(tmp_path)]) == 2
    assert "give more --minutes" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
