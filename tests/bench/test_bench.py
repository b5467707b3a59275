import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bench import timing
from bench.__main__ import main
from bench.latency.forms import peak_memory

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "tiny64.pth"


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
    seconds = timing.interleaved(works, 3, tick=lambda: done.append("tick"))
    assert done == ["a", "tick", "b", "tick"] * 4
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_taken_pair_by_pair():
    assert timing.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == timing.Ratio(3.0, 2.0, 4.0)


def test_the_memory_of_another_process_does_not_count():
    held = bytearray(200 * 2**20)
    command = [sys.executable, "-c", "from bench.latency.forms import peak_memory; print(peak_memory())"]
    child = float(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout)
    assert child < peak_memory() - len(held) / 2**20 / 2


def test_half_compares_plain_and_safe_half_precision(tmp_path, capsys):
    wide = TINY.with_name("tiny64-wide-styles.pth")
    assert main(["half", str(TINY), str(wide), "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "half.json").read_text())
    rows = {(row["network"], row["form"]): row for row in figures["rows"]}
    assert rows["tiny64", "plain"]["broken"] == 0
    assert rows["tiny64-wide-styles", "plain"]["psnr"] < 20
    assert rows["tiny64-wide-styles", "plain"]["broken"] == 4
    for name in ("tiny64", "tiny64-wide-styles"):
        safe = rows[name, "safe"]
        assert (safe["crops"], safe["broken"]) == (4, 0)
        assert safe["psnr"] >= safe["worst"] > 60
        assert safe["largest"] <= 64000
    table = (tmp_path / "half.md").read_text()
    assert "| tiny64 | plain FP16 |" in table
    assert "| tiny64-wide-styles | FP16-safe |" in table


def test_half_takes_portraits(portrait, tmp_path, capsys):
    Image.fromarray(portrait).save(tmp_path / "0.png")
    arguments = ["half", str(TINY), "--portraits", str(tmp_path), "-o", str(tmp_path / "results")]
    assert main(arguments) == 0
    (plain, safe) = json.loads((tmp_path / "results" / "half.json").read_text())["rows"]
    assert plain["crops"] == safe["crops"] == 1
    assert safe["worst"] > 60
    assert main([*arguments, "--first", "1"]) == 2
    assert "holds no portrait from number 1 on" in capsys.readouterr().err
