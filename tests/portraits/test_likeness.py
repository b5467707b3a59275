"""The measures against published implementations of them, and against what they must say."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut
from skimage.measure import blur_effect

from portraits.likeness import (
    TITLES,
    blur,
    brightness,
    detail,
    ground,
    measure,
    octaves_apart,
    psnr,
    texture,
)
from runtime.finish.paste import FEATHER

FACE = np.ascontiguousarray(astronaut()[30:222, 130:322])


def noisy(picture, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


WORSE = {
    "blurred": cv2.GaussianBlur(FACE, (0, 0), 2),
    "noisy": noisy(FACE, 15),
    "darker": FACE // 2,
}


@pytest.mark.parametrize("size", [64, 192])
def test_the_truth_itself_has_the_best_of_every_measure(size):
    truth = cv2.resize(FACE, (size, size), interpolation=cv2.INTER_AREA)
    best = measure(truth, truth, ground(size))
    assert best.keys() == TITLES.keys()
    for key in ("ssim", "texture"):
        assert best[key] == pytest.approx(1, abs=1e-6)
    assert best["skin_statistics"] == best["hair_statistics"] == 0
    assert best["psnr"] > 100


def test_blur_and_noise_cost_texture_and_are_told_apart_by_the_blur_effect():
    where = ground(192)
    best = measure(FACE, FACE, where)
    blurred, noise = measure(WORSE["blurred"], FACE, where), measure(WORSE["noisy"], FACE, where)
    for figures in (blurred, noise):
        for key in ("psnr", "ssim", "texture", "skin_psnr", "features_psnr"):
            assert figures[key] < best[key]
        assert min(figures["skin_statistics"], figures["hair_statistics"]) > 0.1
    assert noise["blur"] < best["blur"] < blurred["blur"]


def test_the_blur_effect_matches_scikit_image_and_is_1_if_nothing_is_sharp():
    assert blur(FACE) == blur_effect(FACE, channel_axis=-1)
    assert blur(np.full_like(FACE, 90)) == 1


def test_texture_statistics_care_for_strength_and_spread_but_not_for_place():
    ones, rng = np.ones((192, 192), np.float32), np.random.default_rng(0)
    grain, other = (rng.normal(128, 8, (192, 192)) for _ in range(2))
    assert octaves_apart(grain, other, ones) < 0.05
    assert octaves_apart(128 + 2 * (grain - 128), grain, ones) == pytest.approx(1, abs=0.01)
    sparse = np.where(rng.random((192, 192)) < 1 / 64, 64.0, 0.0)  # as much energy as noise of σ 8, in dots
    assert detail(sparse, ones) == pytest.approx(detail(grain, ones), rel=0.1)
    assert octaves_apart(sparse, grain, ones) > 0.3


def test_detail_is_counted_by_weight_and_an_empty_band_stays_finite():
    half = np.zeros((192, 192), np.float32)
    half[:, :80] = 1
    flat = np.full((192, 192), 128.0)
    right = flat.copy()
    right[:, 96:] += np.random.default_rng(0).normal(0, 8, (192, 96))
    assert octaves_apart(right, flat, half) == 0
    assert detail(right, half) < 1 < detail(right, 1 - half)


def test_psnr_of_a_known_error():
    black, grey = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * np.log10(5))


def test_only_pixels_with_weight_count():
    broken, weights = FACE.copy(), np.ones((192, 192), np.float32)
    broken[:50] = 0
    weights[:50] = 0
    assert psnr(broken, FACE, weights) > 100
    assert psnr(broken, FACE) < 20


def test_damage_to_the_mouth_costs_eyes_and_lips_not_skin():
    where = ground(192)
    broken = FACE.copy()
    rows, columns = np.nonzero(where.features > 0.99)
    margin = (192 - len(where.features)) // 2
    broken[rows + margin, columns + margin] ^= 64
    figures = measure(broken, FACE, where)
    assert figures["features_psnr"] < 20 < 40 < figures["skin_psnr"]


def test_the_paste_feather_is_not_measured():
    where = ground(200)
    broken = cv2.resize(FACE, (200, 200))
    truth = broken.copy()
    margin = int(np.ceil(200 * FEATHER))
    broken[:margin] = broken[:, :margin] = broken[-margin:] = broken[:, -margin:] = 0
    assert measure(broken, truth, where) == measure(truth, truth, where)


def test_texture_is_a_correlation_of_detail_alone():
    x, ones = brightness(FACE), np.ones((192, 192), np.float32)
    ramp = np.linspace(0, 50, 192)[None]
    assert texture(x + ramp, x, ones) == pytest.approx(1, abs=0.01)
    assert texture(-x, x, ones) == pytest.approx(-1)
    assert texture(np.zeros_like(x), x, ones) == 0
