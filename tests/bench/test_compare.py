import json
from dataclasses import asdict

import pytest

from bench.__main__ import main
from bench.compare import Change
from bench.report import Measure, of_times


def write(path, *measures, benchmark="latency-512", conditions=None, cpu="one"):
    found = {
        "benchmark": benchmark,
        "measures": [asdict(measure) for measure in measures],
        "conditions": conditions or {"threads": 2},
        "environment": {"cpu": cpu, "cores": 2, "commit": "abc", "date": "today"},
    }
    path.write_text(json.dumps(found))
    return str(path)


@pytest.fixture
def old(tmp_path):
    return write(tmp_path / "old.json", of_times("face", [1.0, 1.1, 1.2]), Measure("memory", 100, "MiB"))


def test_a_time_beyond_threshold_and_spread_sets_the_exit_status(old, tmp_path, capsys):
    new = write(tmp_path / "new.json", of_times("face", [1.3, 1.4, 1.5]), Measure("memory", 100, "MiB"))
    assert main(["compare", old, new]) == 1
    shown = capsys.readouterr().out
    assert "1 worse, 0 better, 1 same" in shown
    assert "1.273" in shown  # 1.4 / 1.1
    assert main(["compare", new, old]) == 0
    assert "0 worse, 1 better, 1 same" in capsys.readouterr().out
    assert main(["compare", old, new, "--threshold", "0.3"]) == 0


def test_a_file_against_itself_is_the_same(old, capsys):
    assert main(["compare", old, old, "--threshold", "0"]) == 0
    assert "0 worse, 0 better, 2 same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        # Within the spread of the old one.
        (of_times("a", [1.0, 1.0, 1.6]), of_times("a", [1.5, 1.5, 1.5]), "same"),
        (of_times("a", [1.0, 1.0, 1.0]), of_times("a", [1.04, 1.04, 1.04]), "same"),  # within 5 %
        (of_times("a", [1.0, 1.0, 1.0]), of_times("a", [1.06, 1.06, 1.06]), "worse"),
        (Measure("a", 100, "MiB"), Measure("a", 90, "MiB"), "better"),
        (Measure("a", 30, "dB", more_is_better=True), Measure("a", 29, "dB", more_is_better=True), "worse"),
        (Measure("a", 30, "dB", more_is_better=True), Measure("a", 29.8, "dB", more_is_better=True), "same"),
        (
            Measure("a", 50, "GFLOP/s", more_is_better=True),
            Measure("a", 60, "GFLOP/s", None, None, True),
            "better",
        ),
        (Measure("a", 0, "s"), Measure("a", 0, "s"), "same"),
    ],
)
def test_a_figure_moved_when_it_left_spread_and_threshold(old, new, verdict):
    assert Change(old, new).verdict(0.05) == verdict


def test_figures_of_one_side_alone_are_listed_and_not_judged(old, tmp_path, capsys):
    new = write(tmp_path / "new.json", Measure("memory", 100, "MiB"), Measure("[/b]other", 1, "s"), cpu="two")
    assert main(["compare", old, new]) == 0
    shown = capsys.readouterr().out
    assert "only in the old" in shown
    assert "[/b]other" in shown
    assert "different machines (cpu differ)" in shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("{", "not a result of python -m bench"),
        ("[1]", "not a result of python -m bench"),
        ('{"benchmark": "paste", "rows": []}', "older version"),
        (
            '{"benchmark": "latency-512", "measures": [{"name": "a", "value": NaN, "unit": "s"}]}',
            "not a result",
        ),
        (
            '{"benchmark": "latency-512", "measures": [{"name": "a", "value": "1", "unit": "s"}]}',
            "not a result",
        ),
        ("[" * 100000, "not a result"),
        ("\ud800", "not a result"),
    ],
)
def test_a_file_that_is_no_result_is_one_line(old, tmp_path, capsys, text, why):
    new = tmp_path / "new.json"
    if text is not None:
        new.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert main(["compare", old, str(new)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line


def test_results_that_do_not_belong_together_are_one_line(old, tmp_path, capsys):
    measure = of_times("face", [1.0])
    other = write(tmp_path / "other.json", measure, benchmark="paste")
    assert main(["compare", old, other]) == 2
    assert "is of latency-512" in capsys.readouterr().err
    threads = write(tmp_path / "threads.json", measure, conditions={"threads": 4})
    assert main(["compare", old, threads]) == 2
    assert "threads 2" in capsys.readouterr().err
    strange = write(tmp_path / "strange.json", of_times("another", [1.0]))
    assert main(["compare", old, strange]) == 2
    assert "no figure in common" in capsys.readouterr().err


def test_a_threshold_is_a_share(old, capsys):
    for wrong in ("-1", "nan", "inf", "x"):
        assert main(["compare", old, old, "--threshold", wrong]) == 2


def test_what_a_benchmark_writes_compares_with_itself(tmp_path, capsys):
    assert main(["paste", "--runs", "1", "-o", str(tmp_path)]) == 0
    result = tmp_path / "paste.json"
    assert main(["compare", str(result), str(result)]) == 0
    assert {"before", "after"} <= json.loads(result.read_text())["environment"].keys()
