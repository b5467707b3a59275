import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from runtime.faces.align import align
from runtime.faces.face import Face
from runtime.faces.noise import BAND_NOISE, SUPPORT, face_noise, noise_sigma, wavelet
from runtime.finish.compose import compose, noise_of, wiener_gain

pictures = arrays(
    np.float32,
    st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)),
    elements=st.floats(0, 1, width=32),
)


def noise(sigma, shape, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, shape).astype(np.float32)


def clean_face(size=480):
    """The astronaut's face, enlarged, so that the photo's own grain is not in its finest band."""
    face = skimage.data.astronaut()[40:200, 140:300]
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255


def with_noise(picture, levels):
    """A picture with noise of so many of 255 levels, rounded to them."""
    return np.rint(np.clip(picture + noise(levels / 255, picture.shape), 0, 1) * 255).astype(np.float32) / 255


def rms(difference):
    return float(np.sqrt((difference**2).mean()))


@settings(deadline=None)
@given(pictures)
def test_bands_and_rest_sum_to_the_picture(picture):
    np.testing.assert_allclose(sum(wavelet(picture)), picture, atol=1e-6)


@given(st.floats(-1, 1, width=32))
def test_a_plain_picture_has_empty_bands_and_is_not_cored(value):
    plain = np.full((20, 30, 3), value, np.float32)
    *bands, rest = wavelet(plain)
    np.testing.assert_allclose(bands, 0, atol=1e-6)
    np.testing.assert_allclose(rest, plain, atol=1e-6)
    np.testing.assert_allclose(noise_of(plain, 0.05), 0, atol=1e-6)


def test_the_band_factors_are_the_norms_of_the_bands_filters():
    point = np.zeros((65, 65, 3), np.float32)
    point[32, 32] = 1
    *bands, _ = wavelet(point)
    norms = [np.sqrt((band[..., 0].astype(float) ** 2).sum()) for band in bands]
    np.testing.assert_allclose(norms, BAND_NOISE, atol=5e-5)


def test_white_noise_has_the_band_factors_as_deviations():
    *bands, _ = wavelet(noise(0.1, (512, 512, 3)))
    np.testing.assert_allclose([band.std() / 0.1 for band in bands], BAND_NOISE, rtol=0.03)


def test_no_pixel_further_away_than_the_support_matters():
    point = np.zeros((65, 65, 3), np.float32)
    point[32, 32] = 1
    touched = np.abs(wavelet(point)).sum(axis=(0, 3)) > 0
    rows, columns = np.nonzero(touched)
    assert np.abs([rows - 32, columns - 32]).max() == SUPPORT


@given(st.floats(1e-4, 0.1), st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=20))
def test_a_larger_coefficient_loses_less(sigma, values):
    c = np.array(sorted(values, key=abs), np.float32)
    gains = wiener_gain(c, sigma)
    assert (np.diff(gains) >= -1e-6).all()  # neighbouring floats may be rounded either way
    assert gains.min() >= 0
    assert gains.max() <= 1


@given(st.floats(1e-3, 0.05), st.floats(1e-3, 0.05))
def test_more_noise_costs_more(one, other):
    c = np.linspace(-1, 1, 41, dtype=np.float32)
    low, high = sorted((one, other))
    assert (wiener_gain(c, high) <= wiener_gain(c, low)).all()


def test_a_coefficient_of_one_and_a_half_sigma_is_halved():
    assert wiener_gain(np.array([0.15], np.float32), 0.1) == pytest.approx(0.5)


@settings(deadline=None)
@given(pictures, st.floats(0, 0.1))
def test_kappa_0_is_the_restored_face_and_kappa_1_exactly_the_photo(photo, sigma):
    restored = photo[::-1, ::-1]
    nothing = np.zeros(photo.shape[:2], np.float32)
    np.testing.assert_array_equal(compose(photo, restored, nothing, sigma), restored)
    np.testing.assert_array_equal(compose(photo, restored, nothing + 1, sigma), photo)


@settings(deadline=None)
@given(pictures, st.floats(0, 1, width=32))
def test_without_coring_the_two_are_mixed(photo, share):
    restored = photo[::-1, ::-1]
    kappa = np.full(photo.shape[:2], share, np.float32)
    mixed = (1 - share) * restored + share * photo
    np.testing.assert_allclose(compose(photo, restored, kappa, 0), mixed, atol=1e-6)


def test_below_the_fade_the_hand_back_is_what_the_design_says():
    photo = with_noise(clean_face(), 12)
    restored = cv2.GaussianBlur(photo, (0, 0), 5)
    kappa = np.full(photo.shape[:2], 0.9, np.float32)
    difference = photo - restored
    designed = restored + 0.9 * (difference - noise_of(difference, 12 / 255))
    np.testing.assert_allclose(compose(photo, restored, kappa, 12 / 255), designed, atol=1e-6)


def test_from_kappa_0_to_1_the_result_moves_without_a_jump():
    photo = np.tile(with_noise(clean_face(), 12)[240:241, 240:241], (1, 400, 1))
    photo[:, ::2] += 0.05
    kappa = np.linspace(0.8, 1, 400, dtype=np.float32)[None]
    row = compose(photo, np.zeros_like(photo), kappa, 12 / 255)[0, ::2]
    assert np.abs(np.diff(row, axis=0)).max() < 0.004


def test_texture_returns_and_noise_does_not():
    texture = np.zeros((200, 200, 3), np.float32)
    texture[:, :100] = 0.2 * np.sin(np.arange(100) * 1.5)[None, :, None]
    restored = np.full_like(texture, 0.5)
    sigma = 8 / 255
    kappa = np.full((200, 200), 0.5, np.float32)
    photo = restored + texture + noise(sigma, texture.shape)
    plain, kept = (compose(photo, restored, kappa, s) - restored for s in (0, sigma))
    strength = (kept * texture).sum() / (0.5 * texture**2).sum()
    assert strength > 0.85
    assert rms(kept[:, 120:]) < 0.55 * rms(plain[:, 120:])


def test_coring_brings_a_noisy_portrait_nearer_to_the_truth():
    truth = clean_face()
    photo = with_noise(truth, 12)
    restored = cv2.GaussianBlur(truth, (0, 0), 4)
    kappa = np.full(photo.shape[:2], 0.8, np.float32)
    plain, kept = (compose(photo, restored, kappa, s) for s in (0, noise_sigma(photo)))
    assert rms(kept - truth) < 0.75 * rms(plain - truth)
    assert rms(kept - truth) < 0.75 * rms(restored - truth)


@pytest.mark.parametrize("levels", [2, 3, 5, 8, 12, 20])
def test_the_noise_of_a_portrait_is_measured_within_a_tenth(levels):
    assert 255 * noise_sigma(with_noise(clean_face(), levels)) == pytest.approx(levels, rel=0.1)


def test_a_clean_portrait_has_hardly_any_noise():
    assert 255 * noise_sigma(clean_face()) < 0.7


def test_a_plain_or_a_clipped_or_an_empty_picture_has_no_noise():
    assert noise_sigma(np.full((64, 64, 3), 0.5, np.float32)) < 1e-6
    assert noise_sigma(np.ones((64, 64, 3), np.float32)) == 0
    assert noise_sigma(np.zeros((0, 5, 3), np.float32)) == 0


def test_texture_is_not_taken_for_noise():
    picture = with_noise(np.full((200, 200, 3), 0.5, np.float32), 4)
    picture[:, :120] += noise(0.1, (200, 60, 3), seed=1).repeat(2, axis=1)
    assert 255 * noise_sigma(picture) == pytest.approx(4, rel=0.15)


def test_a_clipped_background_does_not_hide_the_noise():
    picture = np.concatenate([np.ones((200, 200, 3), np.float32), np.full((200, 200, 3), 0.5, np.float32)])
    assert 255 * noise_sigma(with_noise(picture, 6)) == pytest.approx(6, rel=0.15)


def test_areas_of_one_colour_hide_no_noise():
    picture = with_noise(clean_face(), 6)
    picture[len(picture) // 2 :] = (0.6, 0.7, 0.8)
    assert 255 * noise_sigma(picture) == pytest.approx(6, rel=0.15)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("side", [240, 480, 1200])
def test_the_noise_at_a_face_is_the_photos_own_at_whatever_size(side, dtype):
    photo = with_noise(clean_face(side), 8)
    top = np.iinfo(dtype).max
    photo = np.rint(photo * top).astype(dtype)
    landmarks = side * np.array(
        [(0.4, 0.42), (0.6, 0.42), (0.5, 0.53), (0.43, 0.65), (0.57, 0.65)], np.float32
    )
    aligned = align(photo, Face((0, 0, side, side), landmarks, 1.0), 512)
    assert 255 * face_noise(photo, aligned) == pytest.approx(8, rel=0.15)


def test_a_face_outside_the_photo_has_no_noise():
    photo = np.full((50, 50, 3), 128, np.uint8)
    landmarks = np.array([(-300, -300), (-280, -300), (-290, -290), (-297, -280), (-283, -280)], np.float32)
    assert face_noise(photo, align(photo, Face((-310, -310, -270, -270), landmarks, 1.0), 64)).max() == 0
