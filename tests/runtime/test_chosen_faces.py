"""Rules choose the faces of a photo that are restored, and how much."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from base.errors import SettingsError
from runtime import Restorer, RestoreSettings, preset, read_settings
from runtime.chosen_faces import ChosenFaces, Judge, choose_faces
from runtime.faces.face import Face
from runtime.pixels import Pixels
from runtime.restore import main
from runtime.settings.config_file import read_config
from runtime.settings.face_rules import FaceRules, fewer, parse_faces, read_rules

pytestmark = pytest.mark.usefixtures("any_colours")


def face(left: float, width: float) -> Face:
    points = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]) * width + (left, 100)
    return Face((left, 100, left + width, 100 + width), points.astype(np.float32), 0.9)


CROWD = (face(0, 200), face(300, 90), face(520, 60), face(900, 40), face(960, 20))
EMPTY = np.zeros((400, 1000, 3), np.uint8)


def chosen(rules: str, **settings: float) -> ChosenFaces:
    judge = Judge(EMPTY, lambda _: np.zeros(128, np.float32))
    return choose_faces(CROWD, RestoreSettings(face=parse_faces(rules), **settings), {}, judge)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "faces"),
    [
        ("all", [0, 1, 2, 3]),
        ("largest", [0]),
        ("centre", [2]),
        ("center", [2]),
        ("largest,centre", [0, 2]),
        ("1,3", [1, 3]),
        ("4", []),
        ("min=48px", [0, 1, 2]),
        ("min=48", [0, 1, 2]),
        ("max=100px", [1, 2, 3]),
        ("min=48px, max=100px", [1, 2]),
        ("max=100px,largest", [1]),
        ("0,3,min=48px", [0]),
        ("all,min=1000", []),
    ],
)
def test_rules_choose_together(text: str, faces: list[int]) -> None:
    assert sorted(chosen(text).settings) == faces


def test_small_faces_are_restored_less_and_it_is_said() -> None:
    made = chosen("min=48px", strength=0.8)
    strengths = [made.settings[i].strength for i in range(3)]
    assert strengths[0] == 0.8
    assert 0.4 < strengths[2] < strengths[1] < 0.8
    assert made.notes[2] == f"restored to {strengths[2] / 0.8:.0%}: only 60 pixels wide"
    assert made.notes[3] == "left alone: 40 pixels wide, under 48"
    assert 0 not in made.notes


def test_a_width_close_to_a_limit_is_said_with_a_decimal() -> None:
    assert chosen("min=60.4px").notes[2] == "left alone: 60.0 pixels wide, under 60.4"


def test_without_rules_nothing_is_said_or_changed() -> None:
    assert chosen("all").notes == chosen("largest,1").notes == {}
    assert all(each == RestoreSettings() for each in chosen("all").settings.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("some", "give all, largest, centre, numbers"),
        ("", "give all"),
        ("0,,2", "give all"),
        ("-1", "give all"),
        ("min=", "give a number"),
        ("min=many", "give a number"),
        ("max=nan", "give a number"),
        ("max=inf", "give a number"),
        ("sharper<2", "give a number from 0 to 1"),
        ("sharper=0.5", "give all"),
        ("min=48,min=50", "given twice"),
        ("min=100,max=50", "no face"),
        ("person=", "give all"),
        ("person=\0", "give all"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(text: str, words: str) -> None:
    for read in (parse_faces, lambda text: read_settings({"face": text})):
        with pytest.raises(SettingsError, match=words) as raised:
            read(text)
        assert str(raised.value).isprintable()


def test_numbers_are_a_tuple_and_rules_stay_text() -> None:
    assert parse_faces("2,0") == (2, 0)
    assert parse_faces(" all ") == "all"
    assert read_rules("min=30,person=a, b.jpg") == FaceRules(least=30, person=Path("a, b.jpg"))
    assert fewer((2, 0)) == (0,)
    assert fewer((3,)) is None
    assert fewer("0,5,min=30") == "0,min=30"


def test_a_config_file_names_a_person_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('face = "min=48px,person=her.jpg"')
    assert read_config(tmp_path / "a.toml").changes["face"] == f"min=48px,person={tmp_path / 'her.jpg'}"


def test_sharp_faces_are_left_alone_and_noisy_ones_are_not(restorer: Restorer, portrait: Pixels) -> None:
    blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 3), np.uint8)
    noisy = np.clip(portrait + np.random.default_rng(0).normal(0, 20, portrait.shape), 0, 255)
    both = np.hstack([portrait, blurred, np.rint(noisy).astype(np.uint8)])
    (found,) = restorer.detect(portrait)
    x0, y0, x1, y1 = found.box
    all_three = tuple(
        Face((x0 + dx, y0, x1 + dx, y1), found.landmarks + np.float32([dx, 0]), 1.0) for dx in (0, 512, 1024)
    )
    made = restorer.restore(both, preset("classic", face="sharper<0.6"), found=all_three)
    assert [bool(face.loop) for face in made.faces] == [False, True, True]
    assert "sharp and clean" in made.faces[0].choice
    assert (made.photo[:, :512] == portrait).all()


def test_only_faces_like_the_person_are_restored() -> None:
    descriptors = {0: 0.7, 1: 0.5, 2: 0.2, 3: 0.9}
    person = np.zeros(128, np.float32)
    judge = Judge(EMPTY, lambda face: person + np.float32(descriptors[CROWD.index(face)] / 128**0.5), person)
    made = choose_faces(CROWD, RestoreSettings(face="person=her.jpg"), {}, judge)
    assert sorted(made.settings) == [1, 2]
    assert made.notes[0] == "left alone: not that person (distance 0.70)"
    both = choose_faces(CROWD, RestoreSettings(face="max=80px,person=her.jpg"), {}, judge)
    assert sorted(both.settings) == [2]


def test_a_person_is_found_again_in_another_photo(
    tiny_package: Path,
    portrait: Pixels,
    portrait_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mirrored = np.clip(portrait[:, ::-1] * np.float32(0.9), 0, 255).astype(np.uint8)
    Image.fromarray(mirrored).save(tmp_path / "her.png")
    report = tmp_path / "report.json"
    arguments = [str(portrait_file), "-o", str(tmp_path / "out.png"), "--model", str(tiny_package)]
    arguments += ["--face", f"person={tmp_path / 'her.png'}", "--report", str(report), "--overwrite"]
    for like, restored in ((0.55, True), (0.01, False)):
        monkeypatch.setattr("runtime.chosen_faces.LIKE", like)
        assert main(arguments) == 0
        (found,) = json.loads(report.read_text())["photos"][0]["faces"]
        assert bool(found["passes"]) == restored
        assert bool(found["choice"]) != restored
        said = "no face was restored (face 0: left alone: not that person" in capsys.readouterr().err
        assert said != restored
    assert main([*arguments, "-o", str(tmp_path / "her.png")]) == 2


def test_a_photo_without_a_person_is_refused_before_any_work(
    tiny_package: Path, portrait_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "empty.png")
    arguments = [str(portrait_file), "-o", str(tmp_path / "out.png"), "--model", str(tiny_package)]
    for name, hint in (
        ("empty.png", "no face"),
        ("none.png", "cannot be read"),
        ("a.png,largest", "comes last"),
    ):
        assert main([*arguments, "--face", f"person={tmp_path / name}"]) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert name in message
        assert hint in message
    assert not (tmp_path / "out.png").exists()
