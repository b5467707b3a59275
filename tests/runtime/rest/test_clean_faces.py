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
from runtime.faces.noise import finest
from runtime.pixels import as_float
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


def noise_of(shape: tuple[int, ...], sigma: float, coarse: float) -> NDArray[np.float64]:
    """Return noise of this σ in levels, blurred by so many pixels."""
    noise = np.random.default_rng(0).normal(0, 1, shape)
    noise = cv2.GaussianBlur(noise, (0, 0), coarse) if coarse else noise
    return np.asarray(sigma * noise / noise.std())


@pytest.fixture(scope="module")
def picture(portrait: NDArray[np.uint8]) -> Portrait:
    """Two upright portraits, side by side, with coarse noise."""
    half = cv2.resize(portrait, (192, 192), interpolation=cv2.INTER_AREA)
    noise = noise_of((192, 384, 3), 14, 0.7)
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
    photo = np.rint(120 + noise_of((192, 192, 3), 8, 0.7)).astype(np.uint8)
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


@pytest.mark.parametrize("quality", [None, 80])
def test_white_noise_is_left_to_the_face_network_if_patches_of_it_would_stay(quality: int | None) -> None:
    def patchy(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        change = blurring(tile)
        change[..., np.arange(change.shape[-1]) % 48 < 24] *= 0.4
        return change

    found = {}
    for coarse in (0.0, 1.0):
        photo = np.rint(np.clip(120 + noise_of((192, 192, 3), 12, coarse), 0, LEVELS)).astype(np.uint8)
        photo = compressed(photo, quality) if quality else photo
        (face,) = AlignedPortraits().detect(photo[:S, :S])
        aligned = {0: align(photo, face, S)}
        damage = damage_of(photo, aligned.values())
        for run in (patchy, blurring):
            network = replace(NETWORK, run=run)
            found[coarse, run] = bool(cleaned(photo, aligned, lambda network=network: network, damage))
    assert not found[0.0, patchy]
    assert found[0.0, blurring] or quality
    assert found[1.0, patchy]
    assert found[1.0, blurring]


def test_white_noise_is_left_to_the_face_network_if_strong_or_on_a_small_face(
    picture: Portrait, faces: dict[int, AlignedFace]
) -> None:
    for sigma, wanted in ((12, {0, 1, 7}), (25, {0})):  # the noise of face 0, which is reduced, is slight
        photo = np.rint(np.clip(120 + noise_of(picture.shape, sigma, 0), 0, LEVELS)).astype(np.uint8)
        assert set(cleaned(photo, faces, lambda: NETWORK, damage_of(photo, faces.values()))) == wanted


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


def test_no_patches_of_noise_stay_on_skin() -> None:
    from skimage.data import astronaut

    truth = np.ascontiguousarray(astronaut()[:256, 96:352])  # type: ignore[no-untyped-call]
    noisy = np.rint(np.clip(truth + noise_of(truth.shape, 16, 0), 0, LEVELS)).astype(np.uint8)
    photo = compressed(noisy, 80)
    with Restorer.open(None, "onnxruntime", device="cpu", threads=1) as restorer:
        restored = np.asarray(restorer.restore(photo, preset("standard")).photo, np.uint8)
    noise, left = (finest(as_float(picture) - as_float(truth)) for picture in (photo, restored))
    share = cv2.blur(left * noise, (13, 13)).sum(axis=2) / cv2.blur(noise * noise, (13, 13)).sum(axis=2)
    assert np.quantile(share[100:165, 105:165], 0.95) < 0.6
