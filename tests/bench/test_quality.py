import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench import quality, training_range
from bench.__main__ import main
from bench.measures import TITLES
from engines.package import open_package
from runtime.backends import open_backend
from runtime.presets import PRESETS
from training.degradation import Ranges, degrade


@pytest.fixture
def portraits(portrait, tmp_path):
    folder = tmp_path / "portraits"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(portrait, 9 * i, axis=0)[..., ::-1])
    return folder


@pytest.fixture
def command(portraits, tiny_package, tmp_path):
    return ["quality", str(portraits), "--package", str(tiny_package), "-o", str(tmp_path)]


def test_every_preset_is_measured_by_every_measure(command, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    categories = "noise-medium,jpeg-heavy,training-range,nearly-clean"
    arguments = [*command, "--first", "1", "--categories", categories, "--sheet", str(sheet)]
    assert main(arguments) == 0
    figures = json.loads((tmp_path / "quality.json").read_text())
    assert (figures["portraits"], figures["first"]) == (2, 1)
    assert list(figures["by_degradation"]) == [
        "nearly-clean",
        "noise-medium",
        "jpeg-heavy",
        "training-range",
    ]
    assert figures["degradations"][3]["ranges"] is not None
    for methods in figures["controlled"].values():
        assert methods.keys() == {"input", *PRESETS}
        for values in methods.values():
            assert values.keys() == TITLES.keys()
    assert {claim["holds"] for claim in figures["claims"]} <= {True, False, None}
    markdown = (tmp_path / "quality.md").read_text()
    assert "## Claims" in markdown
    assert "| noise-medium |" in markdown
    assert "Claims" in capsys.readouterr().out
    with Image.open(sheet) as picture:
        columns = len(PRESETS) + 2
        assert picture.size[0] > columns * 64
        assert picture.size[1] > 2 * 64


def test_the_figures_are_the_same_each_time_and_for_fewer_degradations(command, tmp_path, capsys):
    found = []
    for categories in ("blur-heavy,noise-light", "noise-light"):
        assert main([*command, "--limit", "1", "--categories", categories]) == 0
        found.append(json.loads((tmp_path / "quality.json").read_text()))
    assert found[0]["controlled"]["noise-light"] == found[1]["controlled"]["noise-light"]
    assert found[0]["model"] == found[1]["model"]
    assert found[1]["portraits"] == 1


def test_a_face_is_composed_as_the_product_composes_it(portrait, tiny_package):
    """Where pasting fills the face alone, the measured photo is the cored hand-back to the last level.

    `low-light` mends ringing and fringes after that.
    """
    from bench.portraits import open_restorer

    photo = cv2.resize(portrait, (64, 64), interpolation=cv2.INTER_AREA)
    where = quality.ground(64)
    with open_restorer(open_package(tiny_package)) as restorer:
        results = quality._restored(restorer, photo, PRESETS)
    for name, result in results.items():
        pair = quality._blends(photo, result, photo, where)
        if pair and name not in ("classic", "low-light"):
            product = quality.psnr(result.photo[where.inside], photo[where.inside])
            assert pair["cored"] == pytest.approx(product, abs=0.01)
            assert not result.faces[0].loop.over_budget


def test_the_training_range_is_measured_with_four_seeds_on_whole_crops(portrait, tiny_package):
    truth = cv2.resize(portrait, (64, 64), interpolation=cv2.INTER_AREA)
    backend = open_backend("auto", open_package(tiny_package), threads=1)
    ticks = []
    figures = training_range.measure(backend, [truth], lambda: ticks.append(1))
    backend.close()
    seeds = [degrade(truth, np.random.default_rng((seed, 0)), Ranges(untouched=0.0)) for seed in range(4)]
    expected = np.mean([quality.psnr(degraded, truth) for degraded in seeds])
    assert figures["degraded"]["psnr"] == pytest.approx(expected)
    assert figures.keys() == training_range.TITLES.keys()
    assert len(ticks) == 1


def test_the_bundled_default_gains_on_a_noisy_portrait_and_keeps_a_clean_one(portraits, tmp_path, capsys):
    arguments = ["quality", str(portraits), "--first", "2", "--categories", "mixed-medium"]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "quality.json").read_text())
    assert figures["package"] == "default"
    assert figures["model"]["restored"]["psnr"] > figures["model"]["degraded"]["psnr"]
    assert figures["model"]["untouched"]["psnr"] > 24


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--first", "3"], "holds no portrait from number 3 on"),
        (["--categories", "rain"], "no degradation 'rain'"),
        (["--sheet", "nowhere/sheet.png"], "no folder for the sheet"),
        (["--sheet", "{portraits}/0.png", "--overwrite"], "is the portrait itself"),
        (["--sheet", "{old}"], "exists"),
        (["--package", "nowhere"], "no package nowhere"),
    ],
)
def test_a_mistake_is_one_clear_line_before_anything_is_measured(command, tmp_path, capsys, more, message):
    portraits = Path(command[1])
    old = tmp_path / "old.png"
    old.write_text("mine")
    before = {path: path.read_bytes() for path in portraits.iterdir()}
    assert main([*command, *(word.format(portraits=portraits, old=old) for word in more)]) == 2
    assert {path: path.read_bytes() for path in portraits.iterdir()} == before
    assert old.read_text() == "mine"
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "quality.json").exists()
