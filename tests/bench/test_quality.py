import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.__main__ import main
from bench.quality import training_range
from bench.quality.passes import methods_by_passes, restored
from engines.package import open_package
from portraits.aligned import open_restorer
from portraits.damage import Ranges, degrade
from portraits.likeness import TITLES, blur, psnr
from runtime.network.backends import open_backend
from runtime.network.schedule import pass_schedule
from runtime.settings.presets import PRESETS, preset


@pytest.fixture
def portraits(portrait, tmp_path):
    folder = tmp_path / "portraits"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(portrait, 9 * i, axis=0)[..., ::-1])
    return folder


@pytest.fixture
def command(portraits, tiny_package, tmp_path):
    return ["quality", str(portraits), "--model", str(tiny_package), "-o", str(tmp_path)]


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
        assert methods.keys() == {"input", *PRESETS, "1 pass", "2 passes", "3 passes", "truth"}
        for values in methods.values():
            assert values.keys() == TITLES.keys()
    assert {claim["holds"] for claim in figures["claims"]} <= {True, False, None}
    markdown = (tmp_path / "quality.md").read_text()
    assert "## Claims" in markdown
    assert "| noise-medium |" in markdown
    for title in ("Blur effect", "PSNR, dB", "Texture statistics of skin / hair"):
        assert f"## {title}" in markdown
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


def test_the_training_range_is_measured_with_four_seeds_on_whole_crops(portrait, tiny_package):
    truth = cv2.resize(portrait, (64, 64), interpolation=cv2.INTER_AREA)
    package = open_package(tiny_package)
    backend = open_backend("auto", package, threads=1)
    ticks = []
    figures = training_range.measure(package.manifest, backend, [truth], lambda: ticks.append(1))
    backend.close()
    seeds = [degrade(truth, np.random.default_rng((seed, 0)), Ranges(untouched=0.0)) for seed in range(4)]
    expected = np.mean([psnr(degraded, truth) for degraded in seeds])
    assert figures["degraded"]["psnr"] == pytest.approx(expected)
    assert list(figures) == ["degraded", "restored", "2 passes", "3 passes", "standard", "truth"]
    assert figures["truth"]["blur"] == blur(truth)
    assert len(ticks) == 1


def test_the_default_improves_a_noisy_portrait_and_keeps_a_clean_one(
    portraits, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(training_range, "SEEDS", 1)
    arguments = ["quality", str(portraits), "--first", "2", "--categories", "undegraded"]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "quality.json").read_text())
    assert figures["package"] == "default"
    assert figures["model"]["restored"]["psnr"] > figures["model"]["degraded"]["psnr"]
    assert figures["controlled"]["undegraded"]["standard"]["psnr"] > 24
    assert figures["loop"] == open_package().manifest.loop_kind


@pytest.mark.parametrize("passes", [1, 2, 3, 4, 5])
def test_standard_cut_short_takes_so_many_passes(passes):
    settings = preset("standard")
    schedule = pass_schedule(settings.latent_step_decay, settings.iterations, most=passes)
    assert len(schedule.times) == passes


def test_the_renewed_loop_is_measured_with_as_many_passes_as_asked(portrait, renewed_package):
    photo = cv2.resize(portrait, (64, 64), interpolation=cv2.INTER_AREA)
    with open_restorer(open_package(renewed_package)) as restorer:
        methods = methods_by_passes(restorer.package.manifest)
        for passes, method in methods.items():
            assert restored(restorer, photo, method).faces[0].loop.passes == passes
        assert restored(restorer, photo, "classic").faces[0].loop.passes == 1
        assert restorer.restore(photo).faces[0].loop.passes == 5
    assert list(methods) == [1, 2, 3, 5]


def test_a_held_package_is_measured_with_its_one_pass(portraits, tiny_package, tmp_path, capsys):
    held = shutil.copytree(tiny_package, tmp_path / "held")
    manifest = json.loads((held / "manifest.json").read_text()) | {"loop": "held"}
    (held / "manifest.json").write_text(json.dumps(manifest))
    arguments = ["quality", str(portraits), "--model", str(held), "-o", str(tmp_path)]
    assert main([*arguments, "--limit", "1", "--categories", "undegraded"]) == 0
    figures = json.loads((tmp_path / "quality.json").read_text())
    assert (figures["loop"], figures["passes"]) == ("held", {"1": "standard"})
    assert figures["controlled"]["undegraded"].keys() == {"input", *PRESETS, "truth"}
    assert figures["model"].keys() == {"degraded", "restored", "truth"}
    assert "2 passes" not in (tmp_path / "quality.md").read_text()


@pytest.fixture
def photos(portrait, tmp_path):
    """Return a folder with a blurred portrait, one of two faces in 16 bits, and notes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "blurred.png"), cv2.GaussianBlur(portrait[..., ::-1], (0, 0), 3))
    both = np.hstack([portrait, portrait[:, ::-1]])[..., ::-1]
    cv2.imwrite(str(folder / "two.png"), both.astype(np.uint16) * 257)
    (folder / "notes.txt").write_text("1927")
    return folder


def test_photos_without_a_truth_are_measured_face_by_face(photos, renewed_package, tmp_path, capsys):
    sheet = tmp_path / "faces.png"
    arguments = ["quality", "--photos", str(photos), "--model", str(renewed_package)]
    assert main([*arguments, "-o", str(tmp_path), "--sheet", str(sheet)]) == 0
    figures = json.loads((tmp_path / "quality-photos.json").read_text())
    assert (figures["photos"], figures["loop"]) == (2, "renewed")
    assert [(face["photo"], face["face"]) for face in figures["faces"]] == [
        ("blurred.png", 0),
        ("two.png", 0),
        ("two.png", 1),
    ]
    for face in figures["faces"]:
        assert face["values"].keys() == {"before", *PRESETS}
        assert face["values"]["before"]["change"] == 0 < face["values"]["classic"]["change"]
        assert (face["values"]["classic"]["passes"], face["values"]["standard"]["passes"]) == (1, 5)
    blurred, sharp = (figures["faces"][i]["values"]["before"] for i in (0, 1))
    assert blurred["blur"] > sharp["blur"]
    assert blurred["skin_detail"] < sharp["skin_detail"]
    mean = np.mean([face["values"]["standard"]["blur"] for face in figures["faces"]])
    assert figures["means"]["standard"]["blur"] == pytest.approx(mean)
    assert "| two.png, 1 |" in (tmp_path / "quality-photos.md").read_text()
    with Image.open(sheet) as picture:
        assert picture.size[0] > 3 * 64
        assert picture.size[1] > 3 * 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a folder of aligned portraits, or photos"),
        (["{photos}", "--photos", "{photos}"], "give a folder of aligned portraits, or photos"),
        (["--photos", "{photos}", "--categories", "blur-light"], "are for portraits"),
        (["--photos", "nowhere"], "nowhere is not a folder"),
        (["--photos", "{empty}"], "holds no photo"),
        (["--photos", "{blank}"], "no face was restored"),
        (["--photos", "{broken}"], "broken.png"),
        (["--photos", "{photos}", "--sheet", "nowhere/sheet.png"], "no folder for the sheet"),
        (["--photos", "{photos}", "--sheet", "{photos}/two.png", "--overwrite"], "is the photo itself"),
        (["--photos", "{photos}", "--sheet", "{photos}/notes.txt"], "exists"),
    ],
)
def test_a_mistake_with_photos_is_one_clear_line(photos, tiny_package, tmp_path, capsys, arguments, message):
    for name in ("empty", "blank", "broken"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "blank" / "grey.png"), np.full((64, 64, 3), 99, np.uint8))
    (tmp_path / "broken" / "broken.png").write_bytes(b"no picture")
    places = {name: tmp_path / name for name in ("photos", "empty", "blank", "broken")}
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    given = [argument.format(**places) for argument in arguments]
    assert main(["quality", *given, "--model", str(tiny_package), "-o", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before
    assert not (tmp_path / "quality-photos.json").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--first", "3"], "holds no portrait from number 3 on"),
        (["--categories", "rain"], "no degradation 'rain'"),
        (["--sheet", "nowhere/sheet.png"], "no folder for the sheet"),
        (["--sheet", "{portraits}/0.png", "--overwrite"], "is the portrait itself"),
        (["--sheet", "{old}"], "exists"),
        (["--model", "nowhere"], "no package nowhere"),
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
