"""Faces are freed of noise and JPEG damage before the face network sees them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from portraits.aligned import AlignedPortraits
from portraits.damage import Portrait, compressed
from portraits.likeness import psnr
from runtime import Restorer, preset
from runtime.faces.align import AlignedFace, align
from runtime.faces.face import Face
from runtime.rest.clean_faces import cleaned, damage_of
from runtime.rest.network import PhotoNetwork

S = 64
LEVELS = 255


def blurring(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a network of our form would: what has to be added to the inner part to blur it."""
    picture = np.ascontiguousarray(tile[0].transpose(1, 2, 0))
    change = cv2.blur(picture, (3, 3), borderType=cv2.BORDER_REFLECT) - picture
    return np.ascontiguousarray(change[8:-8, 8:-8].transpose(2, 0, 1)[None])


NETWORK = PhotoNetwork("blurring", "here", blurring, 64, 128, 8, adds=True)


@pytest.fixture(scope="module")
def picture(portrait: NDArray[np.uint8]) -> Portrait:
    """Two upright portraits, side by side, with noise."""
    half = cv2.resize(portrait, (192, 192), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 12, (192, 384, 3))
    return np.rint(np.clip(np.concatenate([half, half], axis=1) + noise, 0, LEVELS)).astype(np.uint8)


@pytest.fixture(scope="module")
def faces(picture: Portrait) -> dict[int, AlignedFace]:
    """Faces of several sizes: an enlarged one, a reduced one, a turned one, and one that leaves the photo."""

    def face(middle: tuple[float, float], scale: float, turned: float = 0.0) -> AlignedFace:
        (whole,) = AlignedPortraits().detect(np.zeros((S, S, 3), np.uint8))
        cosine, sine = scale * np.cos(turned), scale * np.sin(turned)
        landmarks = (whole.landmarks - S / 2) @ np.array([(cosine, sine), (-sine, cosine)]) + middle
        return align(picture, Face((0.0, 0.0, 1.0, 1.0), landmarks.astype(np.float32), 1.0), S)

    return {3: face((90, 90), 0.6), 0: face((280, 96), 2.4), 1: face((300, 80), 0.9, 0.5), 7: face((5, 9), 1)}


def test_faces_side_by_side_are_cleaned_as_if_each_were_alone(
    picture: Portrait, faces: dict[int, AlignedFace]
) -> None:
    damage = damage_of(picture, faces.values())
    assert 8 < np.median(damage.noise) * LEVELS < 18
    together = cleaned(picture, faces, lambda: NETWORK, damage)
    assert set(together) == set(faces)
    for i, face in faces.items():
        alone = cleaned(picture, {i: face}, lambda: NETWORK, damage)[i].change
        assert alone.shape == face.crop.shape
        assert np.abs(alone - together[i].change).max() < 1e-6
        assert 1 / LEVELS < alone.std() < 20 / LEVELS


def test_a_crop_in_the_photos_own_pixels_gets_the_networks_change() -> None:
    photo = np.rint(np.random.default_rng(1).normal(120, 8, (192, 192, 3))).astype(np.uint8)
    (face,) = AlignedPortraits().detect(photo[:S, :S])
    aligned = align(photo, replace(face, landmarks=face.landmarks + np.float32(64)), S)
    change = cleaned(photo, {0: aligned}, lambda: NETWORK, damage_of(photo, [aligned]))[0].change
    inside = np.s_[8:-8, 8:-8]
    expected = cv2.blur(photo.astype(np.float32) / LEVELS, (3, 3))[64:128, 64:128]
    assert np.abs(aligned.crop - expected)[inside].mean() > 2 / LEVELS
    assert np.abs(aligned.crop + change - expected)[inside].mean() < 0.2 / LEVELS


def test_grey_stays_grey(picture: Portrait, faces: dict[int, AlignedFace]) -> None:
    grey = np.repeat(picture[..., 1:2], 3, axis=2)

    def reddening(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        change = blurring(tile)
        change[:, 0] += 0.01
        return change

    network = replace(NETWORK, run=reddening)
    change = cleaned(grey, faces, lambda: network, damage_of(grey, faces.values()))[3].change
    assert (change[..., 0] == change[..., 1]).all()
    assert (change[..., 0] == change[..., 2]).all()


def test_a_clean_photo_needs_no_photo_network(portrait: NDArray[np.uint8]) -> None:
    def refuse() -> PhotoNetwork:
        raise AssertionError("opened")

    (face,) = AlignedPortraits().detect(portrait)
    aligned = align(portrait, face, S)
    assert cleaned(portrait, {0: aligned}, refuse, damage_of(portrait, [aligned])) == {}


def test_strong_noise_is_left_to_the_face_network() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (192, 192, 3))
    found = {}
    for sigma in (10, 25):
        photo = np.rint(np.clip(120 + sigma * noise, 0, LEVELS)).astype(np.uint8)
        (face,) = AlignedPortraits().detect(photo[:S, :S])
        aligned = {0: align(photo, face, S)}
        found[sigma] = cleaned(photo, aligned, lambda: NETWORK, damage_of(photo, aligned.values()))
    assert found[10]
    assert not found[25]


def test_what_draws_a_picture_of_its_own_cleans_nothing(
    picture: Portrait, faces: dict[int, AlignedFace]
) -> None:
    network = replace(NETWORK, adds=False)
    assert cleaned(picture, faces, lambda: network, damage_of(picture, faces.values())) == {}


def test_jpeg_blocks_go_off_a_face() -> None:
    from skimage.data import astronaut

    truth = np.ascontiguousarray(astronaut()[:256, 96:352])  # type: ignore[no-untyped-call]
    with Restorer.open(None, "onnxruntime", device="cpu", threads=1) as restorer:
        for quality, least in ((75, 0.0), (50, 0.1)):
            photo = compressed(truth, quality)
            result = restorer.restore(photo, preset("standard"))
            assert result.timings["clean"] > 0
            x0, y0, x1, y1 = (round(float(side)) for side in result.faces[0].face.box)
            restored, before, wanted = (picture[y0:y1, x0:x1] for picture in (result.photo, photo, truth))
            assert psnr(np.asarray(restored, np.uint8), wanted) > psnr(before, wanted) + least
