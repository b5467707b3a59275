"""Texture around a face is kept from the network, and returns."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import RestoreSettings
from runtime.faces.align import TEMPLATES, AlignedFace, align
from runtime.faces.face import Face
from runtime.network.busy_surroundings import texture_around
from runtime.network.view import view_of
from runtime.pixels import Picture

SIDE = 256


def face_in(picture: Picture) -> AlignedFace:
    landmarks = (TEMPLATES["published"] * SIDE).astype(np.float32)
    photo = np.asarray(np.rint(np.clip(picture, 0, 255)), np.uint8)
    return align(photo, Face((60.0, 50.0, 200.0, 230.0), landmarks, 1.0), SIDE)


def texture(size: float, sigma: float, seed: int = 0) -> NDArray[np.float32]:
    white = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    coarse = cv2.GaussianBlur(white, (0, 0), size) if size else white
    return np.asarray(sigma * coarse / coarse.std(), np.float32)[..., None]


def portrait(around: NDArray[np.float32]) -> Picture:
    """Skin in the middle, with features and fine pores, and something around it."""
    skin = np.array([190, 140, 120], np.float32) + texture(8, 40) + texture(0.8, 2)
    head = cv2.ellipse(np.zeros((SIDE, SIDE), np.float32), (128, 128), (70, 100), 0, 0, 360, 1, -1)[..., None]
    return np.asarray(head * skin + (1 - head) * (110 + around), np.float32)


@pytest.mark.parametrize("around", [texture(1, 20, 1), texture(2, 20, 1)])
def test_the_network_is_shown_a_face_without_the_texture_around_it(around: NDArray[np.float32]) -> None:
    face = face_in(portrait(around))
    view = view_of(face, RestoreSettings(), grey=False)
    corner, middle = np.s_[:30, :30], np.s_[90:170, 90:170]
    assert view.shown[corner].std() < 0.4 * face.crop[corner].std()
    np.testing.assert_array_equal(view.shown[middle], face.crop[middle])
    np.testing.assert_allclose(view.restored(view.shown), face.crop, atol=1e-5)


COVER = np.zeros((SIDE, SIDE), np.float32)
COVER[170:] = 1


def covered(picture: Picture, thing: NDArray[np.float32]) -> Picture:
    return np.where(COVER[..., None] > 0, 120 + thing, picture)


def test_the_network_is_shown_a_face_without_the_texture_of_what_covers_it() -> None:
    face = face_in(covered(portrait(np.zeros(1, np.float32)), texture(1, 25, 1)))
    view = view_of(face, RestoreSettings(), grey=False, cover=COVER)
    below, face_itself = np.s_[190:, 100:156], np.s_[90:170, 90:170]
    assert view.shown[below].std() < 0.4 * face.crop[below].std()
    np.testing.assert_array_equal(view.shown[face_itself], face.crop[face_itself])
    np.testing.assert_allclose(view.restored(view.shown), face.crop, atol=1e-5)


def test_a_plain_cover_is_shown_as_it_is() -> None:
    face = face_in(covered(portrait(np.zeros(1, np.float32)), np.zeros((SIDE, SIDE, 1), np.float32)))
    assert texture_around(face, COVER) is None


def test_quiet_surroundings_and_noise_everywhere_are_shown_as_they_are() -> None:
    for picture in (portrait(texture(0.8, 2)), portrait(np.zeros(1, np.float32)) + texture(0, 12, 2)):
        assert texture_around(face_in(picture)) is None


def test_the_published_pass_sees_the_crop_as_it_is() -> None:
    face = face_in(portrait(texture(1, 20, 1)))
    assert view_of(face, RestoreSettings(latent_step_decay=1.0, iterations=1), grey=False).shown is face.crop
