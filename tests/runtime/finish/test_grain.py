import cv2
import numpy as np
import pytest
import skimage.data

from runtime.faces.align import align
from runtime.faces.face import Face
from runtime.faces.grain import face_grain, grain_sigmas
from runtime.faces.noise import wavelet
from runtime.finish.grain import grain_of

SIGMA = 8 / 255


def film_grain(shape, correlation, seed=0):
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape), (0, 0), correlation)
    return (grain * SIGMA / grain.std()).astype(np.float32)[..., None].repeat(3, axis=2)


def in_channels(*bands):
    """The grain of each band, the same in each colour channel."""
    return np.repeat(np.float32(bands)[:, None], 3, axis=1)


def clean_face(size=480):
    face = skimage.data.astronaut()[40:200, 140:300]
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255


@pytest.mark.parametrize("correlation", [0.5, 0.8, 1.2, 2.0])
def test_the_grain_of_each_band_is_measured_though_it_is_not_white(correlation):
    grain = film_grain((480, 480), correlation)
    *bands, _ = wavelet(grain)
    measured = grain_sigmas(clean_face() + grain)
    expected = in_channels(*(band.std() for band in bands))
    np.testing.assert_allclose(measured, expected, rtol=0.2, atol=0.5 / 255)


def test_grain_is_measured_in_each_channel_whatever_the_light():
    light = np.float32([1, 0.1, 0.2])
    picture = (clean_face() + film_grain((480, 480), 0.8)) * light
    own = grain_sigmas(picture, 1 / light)
    np.testing.assert_allclose(own / light, grain_sigmas(picture / light), rtol=1e-3)
    assert own[0, 1] < 0.2 * own[0, 0]


@pytest.mark.parametrize("correlation", [0.5, 0.8, 1.2])
def test_grain_of_pure_grain_is_most_of_it(correlation):
    grain = film_grain((300, 300), correlation)
    bands = [band.std() for band in wavelet(grain)[:-1]]
    kept = grain_of(grain, in_channels(*bands))
    fine = grain - wavelet(grain)[-1]
    assert 0.75 < kept.var() / fine.var() <= 1
    assert np.corrcoef(kept.ravel(), fine.ravel())[0, 1] > 0.97


def test_what_stands_out_of_the_grain_is_not_grain():
    difference = np.zeros((60, 60, 3), np.float32)
    difference[:, 29:31] = 0.6
    assert np.abs(grain_of(difference, in_channels(0.02, 0.02, 0.02))).max() < 0.12 * 0.6


def test_a_picture_without_grain_has_none_to_keep():
    plain = np.full((50, 50, 3), 0.5, np.float32)
    assert grain_sigmas(plain).max() < 1e-6
    assert not grain_sigmas(np.ones((20, 20, 3), np.float32)).any()
    assert not grain_sigmas(np.zeros((0, 5, 3), np.float32)).any()
    np.testing.assert_array_equal(grain_of(clean_face(60), in_channels(0, 0, 0)), 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grain_is_found_at_either_bit_depth_and_scales_with_the_photo(dtype):
    top = np.iinfo(dtype).max
    picture = np.clip(clean_face() + film_grain((480, 480), 0.8), 0, 1)
    photo = np.rint(picture * top).astype(dtype)
    points = [(0.4, 0.42), (0.6, 0.42), (0.5, 0.53), (0.43, 0.65), (0.57, 0.65)]
    aligned = align(photo, Face((0, 0, 480, 480), 480 * np.array(points, np.float32), 1.0), 256)
    own, twice = face_grain(photo, aligned), face_grain(photo, aligned, 2)
    assert own == pytest.approx(grain_sigmas(picture), rel=0.25)
    assert (twice[1] > 0.5 * own[0]).all()
    assert (twice[0] < 0.6 * own[0]).all()
