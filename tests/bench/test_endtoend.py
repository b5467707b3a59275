import json

import numpy as np
import pytest
from PIL import Image

from base.errors import GpenEdgeError
from bench.__main__ import main
from bench.claims import Claim, claims_table
from bench.endtoend.process import run_command
from bench.photos import photo_with_faces
from runtime.faces.detect import open_detector


@pytest.mark.parametrize(("megapixels", "faces"), [(0.5, 1), (1, 5), (1, 29)])
def test_a_made_photo_has_its_size_and_its_faces_and_is_always_the_same(megapixels, faces):
    photo = photo_with_faces(megapixels, faces)
    height, width = photo.shape[:2]
    assert height * width == pytest.approx(megapixels * 1e6, rel=0.01)
    assert width / height == pytest.approx(4 / 3, rel=0.01)
    assert len(open_detector().detect(photo)) == faces
    np.testing.assert_array_equal(photo, photo_with_faces(megapixels, faces))


def test_photos_go_from_file_to_file(tiny_package, tmp_path, capsys):
    small = ["--megapixels", "0.5", "--faces", "2", "--runs", "1", "--model", str(tiny_package)]
    assert main(["endtoend", *small, "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "endtoend.json").read_text())
    stages = ["read", "detect", "mesh", "align", "tone", "regions", "network", "paste", "write"]
    assert figures["stages"] == stages
    assert [(p["megapixels"], p["faces"]) for p in figures["photos"]] == [(0.5, 2)]
    for photo in figures["photos"]:
        (run,) = photo["runs"]
        assert run["found"] == photo["faces"]
        assert run["passes"] >= photo["faces"]
        assert list(run["stages"]) == stages
        assert min(run["stages"].values()) > 0
        assert photo["total_s"] == pytest.approx(sum(run["stages"].values()))
        assert photo["peak_mib"] > 50
    whole = figures["whole_photo"]
    assert whole["megapixels"] == 0.5
    assert whole["runs"][0]["stages"]["photo"] > 0
    assert {"ONNX Runtime on cpu", "OpenCV, non-local means"} <= whole["rest"].keys()
    (cold,) = figures["cold_start"]["starts"]
    assert cold["peak_mib"] > 50
    detection, start = figures["claims"]
    assert detection["holds"] is None  # no photo had 12 megapixels
    assert start["worst"][0] == pytest.approx(cold["seconds"])
    assert "| 0.5 MP, 2 faces |" in (tmp_path / "endtoend.md").read_text()
    with Image.open(tmp_path / "endtoend.png") as chart:
        assert min(chart.size) > 200
    same = str(tmp_path / "endtoend.json")
    assert main(["compare", same, same]) == 0


def test_a_claim_of_at_most_holds_below(capsys):
    claim = Claim("a face, ms", 100, (90.0, ""), at_most=True)
    assert claim.holds
    assert claims_table("", [claim]).rows == (("a face, ms", "≤ 100", "90.00", "yes"),)
    assert Claim("a face, ms", 100, (110.0, ""), at_most=True).holds is False


@pytest.mark.parametrize(
    "arguments",
    [
        ["--megapixels", "0"],
        ["--megapixels", "nan"],
        ["--megapixels", "1,x"],
        ["--faces", "0"],
        ["--runs", "0"],
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, capsys, arguments):
    assert main(["endtoend", *arguments, "-o", str(tmp_path)]) == 2


def test_a_package_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["endtoend", "--model", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_process_that_fails_says_why(tmp_path):
    missing = tmp_path / "none.png"
    with pytest.raises(GpenEdgeError, match=r"the restoration failed: error: .*none.png"):
        run_command(missing, "-o", tmp_path / "out.png")
