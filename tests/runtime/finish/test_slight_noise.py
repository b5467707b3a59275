import numpy as np
import pytest

from runtime.faces.noise import BAND_NOISE, wavelet
from runtime.finish.slight_noise import ERROR, slight_noise

SIDE = 96


def noisy(sigma, seed=0):
    return np.random.default_rng(seed).normal(0, sigma / 255, (SIDE, SIDE, 3)).astype(np.float32)


@pytest.mark.parametrize("sigma", [3, 5, 10])
def test_the_mean_of_photo_and_restored_face_is_nearer_to_the_truth_than_either(sigma):
    bands = wavelet(noisy(255, seed=1))[:-1]
    texture = sum(band * e / u for band, e, u in zip(bands, ERROR, BAND_NOISE, strict=True))
    photo, restored = texture + noisy(sigma), np.zeros_like(texture)
    kept = slight_noise(np.full(3, sigma / 255, np.float32), 1.0)
    mean = restored + kept.of(photo - restored)
    errors = [((picture - texture) ** 2).mean() for picture in (mean, photo, restored)]
    assert errors[0] < min(errors[1:])


def test_slight_noise_mostly_stays_and_strong_noise_goes():
    share = {s: slight_noise(np.full(3, s / 255, np.float32), 1.0).share[0, 0] for s in (1, 20)}
    assert share[1] > 0.8
    assert share[20] < 0.05


def test_noise_counts_as_it_shows_in_studio_light():
    gain = np.array([1.0, 4.0, 1.0])
    share = slight_noise(np.full(3, 4 / 255, np.float32), gain).share
    alike = slight_noise(np.full(3, 16 / 255, np.float32), 1.0).share
    np.testing.assert_allclose(share[:, 1], alike[:, 1], rtol=1e-5)
    assert (share[:, 1] < share[:, 0]).all()


def test_a_face_with_other_damage_keeps_no_noise():
    noise = np.full(3, 4 / 255, np.float32)
    assert slight_noise(noise, 1.0, trust=0) is None
    assert slight_noise(0 * noise, 1.0) is None
