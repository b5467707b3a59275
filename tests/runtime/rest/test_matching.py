"""Faces and what lies around them have the same noise."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, align
from runtime.faces.face import Face
from runtime.rest.matching import ALIKE, match_noise, noise_around

LANDMARKS = np.array([[182, 164], [218, 164], [200, 186], [186, 204], [214, 204]], np.float32)


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.uniform(90, 160, (5, 5, 3)).astype(np.float32), (400, 360))
    return np.asarray(np.rint(smooth + rng.normal(0, 12, smooth.shape)), np.uint8)


@pytest.fixture(scope="module")
def face(photo: NDArray[np.uint8]) -> AlignedFace:
    return align(photo, Face((170.0, 140.0, 230.0, 220.0), LANDMARKS, 0.9), 64, "published")


@pytest.mark.parametrize("quieter", ["face", "around"])
def test_the_quieter_part_gets_noise_back(photo: NDArray[np.uint8], face: AlignedFace, quieter: str) -> None:
    smooth = cv2.GaussianBlur(photo, (0, 0), 4)
    half = (photo.astype(np.float32) + smooth) / 2
    inside = np.zeros((360, 400, 1), np.float32)
    cv2.ellipse(inside, (200, 185), (50, 64), 0, 0, 360, 1, -1)
    share = inside if quieter == "face" else 1 - inside
    restored = np.asarray(np.rint(share * smooth + (1 - share) * half), np.uint8)
    before = noise_around(restored, photo, face)
    assert max(before.face, before.around) > 2 * min(before.face, before.around)
    match_noise(restored, photo, [face])
    after = noise_around(restored, photo, face)
    assert max(after.face, after.around) < 1.3 * min(after.face, after.around)
    assert restored.mean() == pytest.approx(photo.mean(), abs=0.2)


def test_alike_noise_and_a_photo_without_faces_stay(photo: NDArray[np.uint8], face: AlignedFace) -> None:
    same = photo.copy()
    match_noise(same, photo, [face])
    noise = noise_around(same, photo, face)
    assert noise.face < ALIKE * noise.around < ALIKE**2 * noise.face
    assert np.array_equal(same, photo)
    smooth = cv2.GaussianBlur(photo, (0, 0), 4)
    alone = smooth.copy()
    match_noise(alone, photo, [])
    assert np.array_equal(alone, smooth)


def test_a_face_outside_the_photo_does_no_harm(photo: NDArray[np.uint8], face: AlignedFace) -> None:
    beyond = replace(face, to_photo=face.to_photo + np.array([[0, 0, 900.0], [0, 0, 900.0]]))
    same = cv2.GaussianBlur(photo, (0, 0), 4)
    match_noise(same, photo, [beyond])
    assert same.shape == photo.shape
