"""A network that paints in colours of its own is reported; no ordinary restoration is."""

import cv2
import numpy as np
import pytest

from engines.package import open_package
from runtime import Restorer, RestoreSettings, preset
from runtime.faces.align import TEMPLATES
from runtime.network.implausible_colours import colours_are_far

POINTS = TEMPLATES["published"] * 64


@pytest.fixture(scope="module")
def default():
    with Restorer.open(threads=1) as restorer:
        yield restorer


def codes(result):
    return [warning.code for face in result.faces for warning in face.warnings]


def faded(photo):
    return 110 + (photo - 128) * 0.25


def noisy(photo):
    return photo + np.random.default_rng(0).normal(0, 15, photo.shape)


@pytest.mark.parametrize(
    "damage",
    [
        lambda photo: photo,
        lambda photo: photo * [1, 0.12, 0.2],
        lambda photo: noisy(photo * [0.15, 0.3, 0.9]),
        lambda photo: photo * 0.15,
        lambda photo: photo * 2,
        faded,
        noisy,
        lambda photo: cv2.GaussianBlur(photo, (0, 0), 4),
        lambda photo: np.dstack([photo.mean(axis=2)] * 3),
        lambda photo: np.dstack([photo.mean(axis=2) * tint for tint in (1, 0.8, 0.6)]),
    ],
    ids=["clean", "red", "dusk", "dark", "bright", "faded", "noisy", "blurred", "grey", "sepia"],
)
def test_no_ordinary_photo_is_reported(default, portrait, damage):
    photo = np.clip(np.rint(damage(portrait.astype(np.float32))), 0, 255).astype(np.uint8)
    for settings in (RestoreSettings(), preset("classic")):
        result = default.restore(photo, settings)
        assert len(result.faces) == 1
        assert "implausible-colours" not in codes(result)


@pytest.mark.parametrize("package", ["tiny_package", "wide_package"])
def test_random_weights_are_reported(portrait, package, request):
    grey = np.dstack([portrait.mean(axis=2).astype(np.uint8)] * 3)
    with Restorer.open(request.getfixturevalue(package), threads=1) as restorer:
        for photo, name in ((portrait, "classic"), (grey, "film-scan"), (portrait // 4, "standard")):
            assert "implausible-colours" in codes(restorer.restore(photo, preset(name)))


def test_swapped_channels_are_reported(default, portrait):
    class Swapping:
        def __init__(self, backend):
            self._backend = backend

        def __getattr__(self, name):
            return getattr(self._backend, name)

        def restored(self, state):
            return self._backend.restored(state)[:, ::-1]

        def estimate(self, state):
            return self._backend.estimate(state)[:, ::-1]

    swapped = Restorer(open_package(None), Swapping(default.backend), default.detector)
    assert "implausible-colours" in codes(swapped.restore(portrait))


def test_a_thing_that_is_redrawn_is_none_of_the_colours():
    rng = np.random.default_rng(0)
    restored = (0.6 + 0.05 * rng.standard_normal((64, 64, 3))).astype(np.float32)
    crop = restored.copy()
    crop[24:32, 14:50] = 0  # dark glasses
    assert not colours_are_far(crop, restored, POINTS)


@pytest.mark.parametrize("wrong", [np.nan, 1.0, 0.0])
def test_a_face_of_another_colour_is_far(wrong):
    crop = np.full((64, 64, 3), 0.5, np.float32)
    assert colours_are_far(crop, np.full_like(crop, wrong), POINTS)


def test_landmarks_outside_of_the_crop_are_no_error():
    crop = np.full((64, 64, 3), 0.5, np.float32)
    for shift in (-500, 500):
        assert not colours_are_far(crop, crop, POINTS + shift)
        assert colours_are_far(crop, 1 - crop * 0, POINTS + shift)
