"""Detail of large faces, finer than the network's crop: it stays, and no noise comes back with it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from portraits.aligned import AlignedPortraits
from runtime import Restorer, preset
from runtime.faces.align import TEMPLATES, AlignedFace, align, warp
from runtime.faces.noise import BAND_NOISE, wavelet
from runtime.faces.regions import region_masks
from runtime.finish.fine_detail import REACH, WHOLE, above_crop, enlarged_noise, find_above, noise_bands

Pixels = NDArray[np.uint8]
FACE = ("eye", "brow", "nose", "lip", "cheek", "forehead")


def face_of(side: int) -> Pixels:
    """The astronaut's head, aligned, as a square photo; enlarged, so that it is soft."""
    head = skimage.data.astronaut()[20:220, 120:320]
    return np.asarray(cv2.resize(head, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def sharp(side: int, seed: int = 0) -> Pixels:
    """The same with edges made crisp, and pores of one or two pixels."""
    soft = face_of(side).astype(np.float32)
    crisp = soft + 1.2 * (soft - cv2.GaussianBlur(soft, (0, 0), side / 400))
    return rounded(crisp + 5 * pores(side, seed))


def pores(side: int, seed: int) -> NDArray[np.float32]:
    fine = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (side, side)), (0, 0), 0.8)
    return np.asarray(fine / fine.std(), np.float32)[..., None]


def rounded(picture: NDArray[np.floating]) -> Pixels:
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def noisy(picture: Pixels, sigma: float, channels: int = 3) -> Pixels:
    noise = np.random.default_rng(1).normal(0, sigma, (*picture.shape[:2], channels))
    return rounded(picture + noise)


def of_face(side: int, names: tuple[str, ...] = FACE) -> NDArray[np.bool_]:
    masks = region_masks(TEMPLATES["published"] * side, side)
    return np.asarray(np.sum([masks[name] for name in names], axis=0) > 0.5)


def in_channels(*bands: float) -> NDArray[np.float32]:
    """Return the noise of each band, the same in each colour channel."""
    return np.repeat(np.float32(bands)[:, None], 3, axis=1)


def finest(picture: Pixels, where: NDArray[np.bool_]) -> float:
    """Energy of the finest band."""
    return float((wavelet(picture.astype(np.float32))[0][where] ** 2).mean())


@pytest.mark.parametrize(("name", "side"), [("standard", 768), ("classic", 768), ("film-scan", 1024)])
def test_a_sharp_face_larger_than_the_crop_stays_sharp(bundled: Restorer, name: str, side: int) -> None:
    photo = sharp(side)
    result = bundled.restore(photo, preset(name, budget=600))
    assert finest(result.photo, of_face(side)) > 0.9 * finest(photo, of_face(side))
    assert "face-larger-than-model" in [warning.code for warning in result.faces[0].warnings]


@pytest.mark.parametrize(("sigma", "channels"), [(12, 1), (12, 3)])
def test_strong_noise_does_not_come_back_with_the_detail(
    bundled: Restorer, sigma: float, channels: int
) -> None:
    soft = face_of(768)
    photo = noisy(soft, sigma, channels)
    skin = cv2.erode(of_face(768, ("cheek",)).astype(np.uint8), np.ones((25, 25))) > 0
    restored = bundled.restore(photo, preset("standard", budget=600)).photo
    assert finest(restored, skin) - finest(soft, skin) < 0.03 * finest(photo, skin)
    whole = bundled.restore(photo, preset("standard", budget=600, grain=True)).photo
    assert finest(whole, skin) > 0.8 * finest(photo, skin)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_a_nearly_clean_face_comes_out_no_worse(sigma: float) -> None:
    """Slightly soft and with noise that nobody sees: its pores are worth more than the noise disturbs."""
    truth = sharp(512)
    photo = noisy(rounded(cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 0.5)), sigma)
    (face,) = AlignedPortraits().detect(photo)
    lost, wanted = (_lost(picture, align(picture, face, 256)) for picture in (photo, truth))
    above = find_above(photo, align(photo, face, 256))
    assert above is not None
    kept = above_crop(lost, np.zeros_like(lost), above.noise)
    before, after = (((own - wanted)[of_face(512)] ** 2).mean() for own in (lost, kept))
    assert after < 1.05 * before


def _lost(photo: Pixels, aligned: AlignedFace) -> NDArray[np.float32]:
    """What of a photo lies above the crop's resolution, with its noise."""
    seen = warp(aligned.crop, aligned.to_photo, photo.shape[1::-1], border=cv2.BORDER_REPLICATE)
    return np.asarray(photo / np.float32(255) - seen, np.float32)


def test_a_soft_or_a_small_face_is_not_called_larger_than_the_model(bundled: Restorer) -> None:
    for photo in (face_of(1024), face_of(512), sharp(280), noisy(face_of(512), 10), sharp(200)):
        codes = [warning.code for warning in bundled.restore(photo, preset("classic")).faces[0].warnings]
        assert "face-larger-than-model" not in codes


def test_at_the_crops_own_size_nothing_lies_above_it() -> None:
    photo = sharp(256)
    (face,) = AlignedPortraits().detect(photo)
    above = find_above(photo, align(photo, face, 256))
    assert above is not None
    assert above.detail < 1e-4
    assert find_above(photo, align(photo, face, 128)) is not None


def test_a_clean_face_slightly_smaller_than_the_crop_is_not_resampled(bundled: Restorer) -> None:
    photo = sharp(236)
    restored = bundled.restore(photo, preset("standard", budget=600)).photo
    assert np.abs(restored.astype(int) - photo)[of_face(236)].mean() < 0.1


def test_a_weight_of_zero_keeps_sharp_pixels_bit_for_bit(bundled: Restorer) -> None:
    photo = noisy(sharp(512), 5)
    settings = replace(preset("classic", budget=600), face_mask_weights={"face": 0})
    assert np.array_equal(bundled.restore(photo, settings).photo, photo)


def test_what_is_no_noise_comes_back_whole() -> None:
    own = sharp(256).astype(np.float32) / 255
    seen = cv2.GaussianBlur(own, (0, 0), 2)
    np.testing.assert_array_equal(above_crop(own, seen, WHOLE), own - seen)
    np.testing.assert_allclose(
        above_crop(own, seen, np.full((3, 3), 1e-6, np.float32)), own - seen, atol=1e-5
    )


def test_no_pixel_further_away_than_the_reach_matters() -> None:
    own = np.random.default_rng(0).random((99, 99, 3)).astype(np.float32)
    other = own.copy()
    other[49, 49] = 1 - own[49, 49]
    seen = np.zeros_like(own)
    noise = in_channels(0.05, 0.02, 0.01)
    changed = np.abs(above_crop(own, seen, noise) - above_crop(other, seen, noise)).max(axis=2) > 1e-5
    rows, columns = np.nonzero(changed)
    assert np.abs([rows - 49, columns - 49]).max() <= REACH


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("sigma", [5, 10])
def test_white_noise_is_measured_and_pores_are_not(sigma: float, channels: int) -> None:
    photo = noisy(face_of(512), sigma, channels).astype(np.float32) / 255
    expected = in_channels(*BAND_NOISE) * sigma / 255
    np.testing.assert_allclose(noise_bands(photo), expected, rtol=0.25)
    assert noise_bands(sharp(768).astype(np.float32) / 255).max() < 0.6 / 255


@pytest.mark.parametrize("light", [(1.0, 0.12, 0.12), (0.12, 0.15, 1.0), (0.12, 0.12, 0.12)])
def test_in_strange_light_noise_is_measured_per_channel_and_pores_are_not(
    light: tuple[float, ...],
) -> None:
    gain = 1 / np.array(light, np.float32)
    texture = noise_bands(sharp(768) * np.float32(light) / 255, gain)
    assert (texture * gain).max() < 1 / 255
    noise = np.random.default_rng(1).normal(0, 1, (512, 512, 3)) * np.array([4, 8, 2]) * np.array(light)
    photo = (face_of(512) * np.float32(light) + noise) / 255
    bands = noise_bands(np.asarray(photo, np.float32), gain)[:2]
    measured = 255 * gain * bands / np.array(BAND_NOISE[:2])[:, None]
    # A channel's variance is what differences of channels have in common: off by a share of the strongest's.
    np.testing.assert_allclose(measured**2, [[16, 64, 4]] * 2, rtol=0, atol=0.15 * 64)
    assert (measured[:, 1] > 1.5 * measured[:, 0]).all()
    assert (measured[:, 0] > 1.5 * measured[:, 2]).all()


def test_detail_in_the_only_lit_channel_is_no_noise() -> None:
    own = sharp(256) * np.float32([1.0, 0.05, 0.05]) / 255
    seen = cv2.GaussianBlur(own, (0, 0), 2)
    kept = above_crop(own, seen, noise_bands(own, np.float32([1, 20, 20])))
    assert np.abs(kept - (own - seen)).mean() < 0.1 * np.abs(own - seen).mean()


def test_a_sensors_coarse_noise_is_told_by_its_colours() -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (512, 512, 3)), (0, 0), 0.8)
    noise *= 8 / 255 / noise.std()
    measured = noise_bands((face_of(512) / 255 + noise).astype(np.float32))
    bands = [band.std() for band in wavelet(noise.astype(np.float32))[:-1]]
    np.testing.assert_allclose(measured, in_channels(*bands), rtol=0.4)


def test_clipped_and_plain_pictures_have_no_noise() -> None:
    assert not noise_bands(np.ones((64, 64, 3), np.float32)).any()
    assert noise_bands(np.full((64, 64, 3), 0.5, np.float32)).max() < 1e-6


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_noise_moves_to_coarser_bands_when_a_photo_is_enlarged(factor: int) -> None:
    noise = np.random.default_rng(5).normal(0, 0.04, (200, 200, 3)).astype(np.float32)
    larger = cv2.resize(noise, None, fx=factor, fy=factor, interpolation=cv2.INTER_LANCZOS4)
    bands = [band.std() for band in wavelet(np.asarray(larger, np.float32))[:-1]]
    before = 0.04 * in_channels(*BAND_NOISE)
    np.testing.assert_allclose(enlarged_noise(before, factor), in_channels(*bands), rtol=0.1)
