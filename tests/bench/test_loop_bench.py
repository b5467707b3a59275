import json

import cv2
import pytest
from PIL import Image

from bench.__main__ import main
from bench.loop import benchmark as loop


@pytest.fixture
def folder(portrait, tmp_path):
    folder = tmp_path / "portraits"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), portrait[..., ::-1])
    return folder


def test_the_loop_is_measured_by_epsilon_steps_and_decay(folder, tiny_package, tmp_path, capsys):
    assert main(["loop", str(folder), "--model", str(tiny_package), "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "loop.json").read_text())
    schedules = {(s["iterations"], s["epsilon"]): s for s in figures["schedules"] if not s["settles"]}
    assert schedules.keys() == {(n, e) for n in loop.ITERATIONS for e in (*loop.EPSILONS, 0)}
    for n in loop.ITERATIONS:
        assert schedules[n, 0]["passes"] == n
        assert schedules[n, 0]["to_every_pass"] is None  # it is compared with itself
        assert schedules[n, 1]["passes"] == 1
        assert schedules[n, 0.05]["passes"] > schedules[n, 0.2]["passes"]
        assert schedules[n, 0.05]["worst_to_every_pass"] > schedules[n, 1]["worst_to_every_pass"]
    (shipped,) = (s for s in figures["schedules"] if s["iterations"] == 30 and s["settles"])
    assert shipped["epsilon"] == 0.2
    assert shipped["most_passes"] <= 5
    assert "| 30, a pass per step | 30.00 |" in (tmp_path / "loop.md").read_text()
    with Image.open(tmp_path / "loop.png") as chart:
        assert min(chart.size) > 300


def test_the_renewed_loop_makes_no_claim_about_fewer_passes(folder, renewed_package, tmp_path):
    assert main(["loop", str(folder), "--model", str(renewed_package), "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "loop.json").read_text())
    assert figures["loop"] == "renewed"
    passes = {s["epsilon"]: s["passes"] for s in figures["schedules"] if s["iterations"] == 30}
    assert passes[0] == 30
    assert passes[1] == 1


def test_an_empty_folder_is_one_clear_line(tmp_path, capsys):
    assert main(["loop", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "holds no portraits" in capsys.readouterr().err
