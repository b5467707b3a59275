import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import timing
from bench.__main__ import main
from bench.environment import Environment, Moment
from bench.memory import peak_memory
from bench.report import Report, Table, record

ROOT = Path(__file__).parents[2]


def test_paste_compares_a_small_and_a_large_photo(tmp_path, capsys):
    assert main(["paste", "--runs", "2", "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "paste.json").read_text())
    small, large = figures["rows"]
    assert small["width"] * small["height"] == 2_000_000
    assert large["width"] * large["height"] == 48_000_000
    assert figures["ratio"] == pytest.approx(large["median_s"] / small["median_s"])
    assert figures["within"] == (abs(figures["ratio"] - 1) <= 0.2)
    assert "48 megapixels" in (tmp_path / "paste.md").read_text()


def test_results_that_cannot_be_written_are_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["paste", "--runs", "1", "-o", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("error: cannot write the results")


def test_works_are_timed_in_turns_and_the_first_turn_is_dropped():
    done = []
    works = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    seconds = timing.in_turns(works, 3, tick=lambda: done.append("tick"))
    assert done == ["a", "tick", "b", "tick"] * 4
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_taken_pair_by_pair():
    assert timing.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == timing.Ratio(3.0, 2.0, 4.0)


def test_the_memory_of_another_process_does_not_count():
    held = bytearray(200 * 2**20)
    command = [sys.executable, "-c", "from bench.memory import peak_memory; print(peak_memory())"]
    child = float(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout)
    assert child < peak_memory() - len(held) / 2**20 / 2


def test_threads_are_as_many_as_pay():
    assert timing.threads_that_pay({1: 8.0, 2: 4.1, 4: 2.2, 6: 2.1}.__getitem__, 6) == 4
    assert timing.threads_that_pay({1: 1.0, 2: 2.0}.__getitem__, 2) == 1  # others use the cores
    assert timing.threads_that_pay({1: 1.0}.__getitem__, 1) == 1


def look(**changes):
    return Moment(**{"load": 0.1, "gflops": 100.0, "clock": 0.0, "own": 0.0, "all": 0.0} | changes)


@pytest.fixture
def on(monkeypatch):
    """Return what makes an environment of two moments, on a machine of two cores."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    def made(before, after):
        return Environment("CPU", 2, "Linux", "3.11", {}, "abc", "today", before, after)

    return made


def test_a_machine_is_busy_when_other_programs_use_it_or_it_slows_down(on):
    alone = look(clock=10.0, own=19.0, all=19.5)
    assert not on(look(), alone).busy
    assert on(look(), replace(alone, all=29.0)).busy
    assert on(look(), replace(alone, all=29.0)).others == pytest.approx(1.0)
    assert on(look(), replace(alone, gflops=60.0)).busy
    assert on(look(all=None, load=1.5), replace(alone, all=None, load=2.5)).busy
    assert not on(look(all=None), replace(alone, all=None, load=2.5)).busy  # the measurement's own load


def test_no_headline_is_drawn_on_a_busy_machine_and_the_screen_says_why(on, tmp_path, capsys):
    report = Report("face", (Table("Faces", ("form", "s"), ()),), "It is fast.", {}, timed=True)
    record(report, tmp_path, on(look(), look(clock=10.0, own=10.0, all=10.5)))
    assert "It is fast." in capsys.readouterr().out
    record(report, tmp_path, on(look(), look(clock=10.0, own=10.0, all=18.0)))
    shown = capsys.readouterr().out
    assert "machine was busy (other programs used 0.8 cores" in shown
    assert "It is fast." not in shown + (tmp_path / "face.md").read_text()
    assert json.loads((tmp_path / "face.json").read_text())["environment"]["busy"] is True
    record(replace(report, timed=False), tmp_path, on(look(), look(clock=10.0, own=10.0, all=18.0)))
    assert "It is fast." in capsys.readouterr().out
