"""`python -m runtime.check`, as a user meets it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.check import main

Pixels = NDArray[np.uint8]


def saved(path: Path, photo: Pixels) -> str:
    Image.fromarray(photo).save(path)
    return str(path)


@pytest.mark.parametrize("factor", [1, 2])
def test_figures_and_sheet_are_written(
    portrait: Pixels, tiny_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: int
) -> None:
    before = saved(tmp_path / "before.png", portrait)
    waxen = cv2.resize(cv2.medianBlur(portrait, 7), None, fx=factor, fy=factor)
    after = saved(tmp_path / "after.png", np.asarray(waxen, np.uint8))
    sheet, figures = tmp_path / "sheet.png", tmp_path / "figures.json"
    options = ["-o", str(sheet), "--json", str(figures), "--model", str(tiny_package)]
    assert main([before, after, *options]) == 0
    assert "waxen" in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert found["upscale"] == factor
    (face,) = found["faces"]
    assert list(face["checks"]) == ["hair", "highlights", "pupils"]
    texture = face["checks"]["highlights"]["figures"]["texture in highlights, levels"]
    assert texture["after"] < texture["before"]
    assert "classic" in texture
    with Image.open(sheet) as image:
        assert image.width > 1000
    for more in ([], ["--json", before, "--overwrite"], ["--json", str(sheet), "--overwrite"]):
        assert main([before, after, *options, *more]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert ["exists: name another" in errors[0], "is the photo itself" in errors[1]] == [True, True]
    assert "would be one file" in errors[2]
    assert json.loads(figures.read_text()) == found


def test_a_face_that_is_the_photos_own_is_told_apart(
    portrait: Pixels, tiny_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = saved(tmp_path / "before.png", np.concatenate([portrait, portrait], axis=1))
    waxen = np.concatenate([cv2.medianBlur(portrait, 9), portrait], axis=1)
    after, figures = saved(tmp_path / "after.png", waxen), tmp_path / "figures.json"
    common = ["--model", str(tiny_package), "--strict"]
    assert main([before, after, *common, "--json", str(figures)]) == 1
    faces = json.loads(figures.read_text())["faces"]
    touched, own = sorted(faces, key=lambda face: face["untouched"])
    assert (touched["untouched"], own["untouched"]) == (False, True)
    said = capsys.readouterr().out
    assert f"face {own['index']} (untouched" in said
    last = said.splitlines()[-2:]
    assert f"look at face {touched['index']} (" in " ".join(last)
    assert f"face {own['index']}" not in " ".join(last)
    assert main([before, before, *common]) == 0
    assert capsys.readouterr().out.endswith("overall: untouched, every face is the photo's own\n")


@pytest.mark.parametrize("width", [80, 50])
def test_what_is_told_fits_the_terminal(
    portrait: Pixels,
    tiny_package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    before = saved(tmp_path / "before.png", portrait)
    after = saved(tmp_path / "after.png", cv2.medianBlur(portrait, 7))
    assert main([before, after, "--model", str(tiny_package)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == "face 0"
    assert any(line.startswith("overall: poor, ") for line in lines)


@pytest.mark.parametrize("shape", [(512, 500), (768, 768), (256, 256)])
def test_a_size_that_is_no_enlargement_is_one_clear_line(
    portrait: Pixels, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: tuple[int, int]
) -> None:
    before = saved(tmp_path / "before.png", portrait)
    after = saved(tmp_path / "after.png", np.asarray(cv2.resize(portrait, shape), np.uint8))
    assert main([before, after]) == 2
    assert "same size, or 2 or 4 times as large" in capsys.readouterr().err


def test_a_photo_without_faces_is_one_clear_line(
    tiny_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blank = saved(tmp_path / "blank.png", np.full((100, 120, 3), 77, np.uint8))
    assert main([blank, blank, "--model", str(tiny_package)]) == 2
    assert "no sufficiently large face was found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-o", "/nowhere/sheet.png"], "cannot be written"),
        (["-o", "/tmp/sheet.jpg"], "must be a PNG"),
        (["--face", "9"], "no face 9"),
        (["--max-megapixels", "nan"], "--max-megapixels is nan"),
        (["--threads", "0"], "give 1 or more"),
    ],
)
def test_bad_options_are_one_clear_line(
    portrait_file: Path,
    tiny_package: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    arguments = [str(portrait_file), str(portrait_file), "--model", str(tiny_package), *options]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert "\n" not in error
