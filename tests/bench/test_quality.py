import json

import cv2
import numpy as np
import pytest

from bench.__main__ import main
from bench.quality import psnr


@pytest.fixture
def portraits(portrait, tmp_path):
    folder = tmp_path / "portraits"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(portrait, 9 * i, axis=0)[..., ::-1])
    return folder


def test_quality_is_measured_on_the_portraits_from_the_first_on(portraits, tiny_package, tmp_path, capsys):
    arguments = ["quality", str(portraits), "--package", str(tiny_package), "--first", "1", "--seeds", "2"]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    once = json.loads((tmp_path / "quality.json").read_text())
    assert (once["portraits"], once["seeds"]) == (2, 2)
    levels = once["psnr_db"]
    assert once["gain_db"] == pytest.approx(levels["restored"] - levels["degraded"])
    assert 15 < levels["degraded"] < 40
    assert "restored crop" in (tmp_path / "quality.md").read_text()
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "quality.json").read_text())["psnr_db"] == levels


def test_the_bundled_default_gains_on_a_noisy_portrait_and_keeps_a_clean_one(portraits, tmp_path, capsys):
    assert main(["quality", str(portraits), "--first", "2", "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "quality.json").read_text())
    assert figures["package"] == "default"
    assert figures["gain_db"] > 0
    assert figures["psnr_db"]["untouched"] > 24


def test_no_portraits_are_one_clear_line(portraits, tmp_path, capsys):
    assert main(["quality", str(portraits), "--first", "3", "-o", str(tmp_path)]) == 2
    assert "holds no portrait from number 3 on" in capsys.readouterr().err


def test_psnr_of_a_known_error():
    black, grey = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * np.log10(5))
