"""Single faces of a photo have settings of their own."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from base.errors import SettingsError
from runtime import Restorer, RestoreResult, RestoreSettings, preset
from runtime.faces.align import face_rectangle
from runtime.faces.face import Face
from runtime.settings.per_face import WHOLE_PHOTO, in_common_batches

Pixels = NDArray[np.uint8]
Found = tuple[Face, ...]
PATIENT = RestoreSettings(budget=600)
LIGHT = replace(PATIENT, latent_step_decay=0.02, iterations=15)


@pytest.fixture(scope="module")
def group(portrait: Pixels) -> Pixels:
    """Three blurred faces, each apart from the others and smaller than the one before."""
    photo = np.full((512, 1024, 3), 90, np.uint8)
    photo[:, :512] = portrait
    for left, step in ((512, 2), (768, 3)):
        small = portrait[::step, ::step]
        photo[: len(small), left : left + small.shape[1]] = small
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), 1.5), np.uint8)


@pytest.fixture(scope="module")
def found(restorer: Restorer, group: Pixels) -> Found:
    return restorer.detect(group)


def face_pixels(result: RestoreResult, i: int) -> Pixels:
    aligned = result.faces[i].aligned
    assert aligned is not None
    x0, y0, x1, y1 = face_rectangle(aligned, result.photo.shape)
    return np.asarray(result.photo[y0:y1, x0:x1])


def test_each_face_comes_out_as_if_all_had_its_settings(
    restorer: Restorer, group: Pixels, found: Found
) -> None:
    classic = preset("classic", budget=600)
    mixed = restorer.restore(group, LIGHT, {1: classic}, found=found)
    light, strong = restorer.restore(group, LIGHT, found=found), restorer.restore(group, classic, found=found)
    assert len(mixed.faces) == 3
    for i, expected in enumerate((light, strong, light)):
        assert np.abs(face_pixels(mixed, i).astype(int) - face_pixels(expected, i)).max() <= 1
        assert mixed.faces[i].progress == expected.faces[i].progress
        assert mixed.faces[i].warnings == expected.faces[i].warnings
    assert np.abs(face_pixels(light, 1).astype(int) - face_pixels(strong, 1)).max() > 10


def test_weights_and_grain_of_a_face_stay_with_it(restorer: Restorer, group: Pixels, found: Found) -> None:
    kept = replace(LIGHT, face_mask_weights={"face": 0})
    mixed = restorer.restore(group, LIGHT, {0: kept, 2: replace(LIGHT, grain=True)}, found=found)
    assert np.array_equal(mixed.photo[:, :512], group[:, :512])
    grainy = restorer.restore(group, replace(LIGHT, grain=True), found=found)
    assert np.abs(face_pixels(mixed, 2).astype(int) - face_pixels(grainy, 2)).max() <= 1


def test_a_face_can_be_left_out(restorer: Restorer, group: Pixels, found: Found) -> None:
    result = restorer.restore(group, LIGHT, {0: None}, found=found)
    assert [face.loop is not None for face in result.faces] == [False, True, True]
    assert np.array_equal(result.photo[:, :512], group[:, :512])


def test_a_face_that_was_not_chosen_stays_so(restorer: Restorer, group: Pixels, found: Found) -> None:
    result = restorer.restore(
        group, replace(LIGHT, face=(0,)), {1: replace(LIGHT, face=(0,), grain=True)}, found=found
    )
    assert [face.loop is not None for face in result.faces] == [True, False, False]


def test_settings_of_a_face_that_is_not_there_are_passed_over(restorer: Restorer, portrait: Pixels) -> None:
    with_more = restorer.restore(portrait, LIGHT, {5: PATIENT})
    assert np.array_equal(with_more.photo, restorer.restore(portrait, LIGHT).photo)


def test_faces_found_before_are_not_looked_for_again(restorer: Restorer, group: Pixels) -> None:
    found = restorer.detect(group)
    assert len(found) == 3
    result = restorer.restore(group, LIGHT, found=found[1:])
    assert [face.face for face in result.faces] == list(found[1:])
    assert np.array_equal(result.photo[:, :512], group[:, :512])


def test_faces_go_together_that_differ_only_beside_the_loop() -> None:
    wanted = {
        0: LIGHT,
        2: PATIENT,
        3: replace(LIGHT, grain=True),
        4: replace(LIGHT, face_mask_weights={"eye": 0.5}),
        7: replace(LIGHT, degradation_scale=0.5),
    }
    passes = dict.fromkeys(wanted, 5)
    assert list(in_common_batches(wanted, passes)) == [[0, 3, 4], [2], [7]]
    assert list(in_common_batches(wanted, passes | {3: 2})) == [[0, 4], [2], [3], [7]]


@pytest.mark.parametrize(
    ("name", "value"), [("face", "largest"), ("upscale", 2), ("template", "ffhq"), ("budget", 1.0)]
)
def test_what_concerns_the_whole_photo_is_refused_for_a_face(
    restorer: Restorer, portrait: Pixels, name: str, value: object
) -> None:
    assert name in WHOLE_PHOTO
    with pytest.raises(SettingsError, match=f"face 1 has its own {name}"):
        restorer.restore(portrait, PATIENT, {1: replace(PATIENT, **{name: value})})


@pytest.mark.parametrize("index", [-1, "first", True])
def test_indices_that_make_no_sense_are_refused(restorer: Restorer, portrait: Pixels, index: object) -> None:
    with pytest.raises(SettingsError, match="counted from 0"):
        restorer.restore(portrait, PATIENT, {index: None})  # type: ignore[dict-item]
