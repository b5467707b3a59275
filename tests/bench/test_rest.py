import json

import cv2
import numpy as np
import pytest

from bench.__main__ import main
from bench.rest import MIDDLE, NLM_REACH, middle_of
from bench.rest_damage import Damage
from bench.rest_faces import edge_spread, noise_apart
from runtime.rest.matching import Noise


@pytest.fixture
def folder(tmp_path):
    """One clean photo: part of a portrait."""
    from skimage.data import astronaut

    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "portrait.png"), astronaut()[:128, 100:260, ::-1])
    return folder


def test_gain_time_and_memory_are_measured(folder, tmp_path, capsys, monkeypatch):
    damages = (Damage(), Damage(15))
    monkeypatch.setattr("bench.rest.DAMAGES", damages)
    assert main(["rest", str(folder), "--megapixels", "0.1", "--runs", "1", "-o", str(tmp_path)]) == 0
    gains = {g["damage"]: g for g in json.loads((tmp_path / "rest-quality.json").read_text())["gains"]}
    assert list(gains) == [damage.name for damage in damages]
    noisy = gains["noise 15"]
    assert noisy["before"] == pytest.approx(20 * np.log10(255 / 15), abs=0.4)
    assert noisy["restored"] > noisy["before"] + 3
    assert noisy["middle"] == pytest.approx(noisy["restored"])  # the photo is smaller
    assert noisy["non_local_means"] > noisy["before"] + 1
    assert gains["none"]["non_local_means"] is None
    figures = json.loads((tmp_path / "rest.json").read_text())
    assert "ONNX Runtime on cpu" in figures["seconds"]
    assert min(min(times) for times in figures["seconds"].values()) > 0
    assert figures["peak_mib"]["0.1"] > 50


def test_non_local_means_see_as_much_around_the_middle_as_they_read():
    middle, around, inside = middle_of((600, MIDDLE + 8, 3))
    rows, columns = np.mgrid[:600, : MIDDLE + 8]
    for picture in (rows, columns):
        np.testing.assert_array_equal(picture[around][inside], picture[middle])
    assert (around[0].start, around[0].stop) == (188 - NLM_REACH, 188 + MIDDLE + NLM_REACH)
    assert around[1].start == 0


@pytest.mark.parametrize(
    ("face", "around", "photo_face", "photo_around", "factor"),
    [
        (2, 1, 10, 10, 2.0),  # a face with more noise
        (1, 3, 10, 10, 3.0),
        (2, 1, 4, 2, 1.0),  # as in the photo, whose pores are noise
        (2, 1, 8, 2, 1.0),  # in between
        (6, 2, 4, 2, 1.5),
    ],
)
def test_a_face_may_differ_as_in_the_photo_or_be_alike(face, around, photo_face, photo_around, factor):
    assert noise_apart(Noise(face, around, photo_face, photo_around)) == pytest.approx(factor)


def test_damage_repeats_for_the_same_photo_only():
    photo = np.full((16, 16, 3), 128, np.uint8)
    damage = Damage(10, 50)
    assert damage.name == "noise 10, JPEG 50"
    np.testing.assert_array_equal(damage(photo, 1), damage(photo, 1))
    assert (damage(photo, 1) != damage(photo, 2)).any()
    np.testing.assert_array_equal(Damage()(photo, 1), photo)


def test_a_folder_without_photos_is_refused(tmp_path, capsys):
    assert main(["rest", str(tmp_path)]) == 2
    assert "photos" in capsys.readouterr().err


@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_the_spread_of_an_edge_is_measured_in_noise_too(sigma):
    step = np.full((80, 80, 3), 60, np.float32)
    step[:, 40:] = 180
    noise = np.random.default_rng(0).normal(0, 4, step.shape)
    photo = np.asarray(np.rint(cv2.GaussianBlur(step, (0, 0), sigma) + noise), np.uint8)
    edge = np.zeros((80, 80), bool)
    edge[10:-10, 39:41] = True
    assert edge_spread(photo, edge) == pytest.approx(np.hypot(sigma, 0.75), rel=0.15)
