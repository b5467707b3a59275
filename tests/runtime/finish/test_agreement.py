"""A restored face agrees with its photo: blurred as the photo is, it shows what the photo shows."""

import cv2
import numpy as np
import pytest
import skimage.data

from runtime.faces.align import middle
from runtime.finish.agreement import agreement, blur_of
from runtime.pixels import Picture

TRUTH = np.asarray(
    cv2.resize(skimage.data.astronaut()[20:220, 120:320], (256, 256), interpolation=cv2.INTER_AREA)
    / np.float32(255)
)


def blurred(picture: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))


def shadow(width: float) -> Picture:
    """The light beside a shadow whose edge, this many pixels wide, crosses the face."""
    along = (np.arange(256, dtype=np.float32) - 118) / np.float32(width)
    return np.asarray(0.55 + 0.45 * np.tanh(along), np.float32)[None, :, None]


def error(picture: Picture, truth: Picture) -> float:
    return 255 * float(np.sqrt(np.mean((middle(picture) - middle(truth)) ** 2)))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_the_blur_of_a_photo_is_that_of_its_sharpest_edges(sigma: float) -> None:
    assert blur_of(blurred(TRUTH, sigma), TRUTH) == pytest.approx(sigma, rel=0.35)
    soft = TRUTH * shadow(12)
    assert blur_of(blurred(soft, sigma), TRUTH * shadow(3)) == pytest.approx(sigma, rel=0.45)


def test_detail_that_the_photo_has_lost_is_the_networks() -> None:
    assert error(agreement(blurred(TRUTH, 1.4), TRUTH), np.zeros_like(TRUTH)) < 0.5


def test_a_soft_shadow_is_not_sharpened() -> None:
    truth, drawn = TRUTH * shadow(5), TRUTH * shadow(2)
    agreeing = drawn + agreement(blurred(truth, 1), drawn)
    assert error(agreeing, truth) < 0.5 * error(drawn, truth)


def test_shadows_in_most_of_a_face_are_not_sharpened() -> None:
    def shadows(sigma: float) -> Picture:
        stripes = np.where(np.arange(256) // 20 % 2, np.float32(1), np.float32(0.3))
        soft = cv2.GaussianBlur(stripes[:, None], (1, 0), 0, sigmaY=sigma)
        return np.asarray(TRUTH * soft[..., None], np.float32)

    truth, drawn = shadows(3), shadows(1.2)
    agreeing = drawn + agreement(blurred(truth, 1), drawn)
    assert error(agreeing, truth) < 0.75 * error(drawn, truth)


@pytest.mark.parametrize("sigma", [1.0, 1.4, 2.0])
def test_noise_on_a_faint_face_does_not_hide_its_blur(sigma: float) -> None:
    faint = np.asarray(0.5 + 0.3 * (TRUTH - 0.5), np.float32)
    noise = np.random.default_rng(0).normal(0, 10 / 255, TRUTH.shape).astype(np.float32)
    assert blur_of(blurred(faint, sigma) + noise, faint) >= sigma


def test_noise_is_not_brought_back() -> None:
    noise = np.random.default_rng(0).normal(0, 4 / 255, TRUTH.shape).astype(np.float32)
    assert error(agreement(blurred(TRUTH, 1) + noise, TRUTH), np.zeros_like(TRUTH)) < 0.2 * 4


def test_what_covers_the_face_is_not_looked_at() -> None:
    cover = np.zeros((256, 256), np.float32)
    cover[140:] = 1
    checks = np.float32(0.2) + np.float32(0.6) * (np.add(*np.indices((116, 256)) // 4) % 2)[..., None]
    photo, drawn = blurred(TRUTH, 1.4), TRUTH.copy()
    photo[140:] = drawn[140:] = checks
    change = np.abs(agreement(photo, drawn, cover))
    assert change[150:].max() < 1 / 255
    assert change[:120].mean() < 0.3 / 255


def test_errors_in_a_sharp_photo_are_undone_though_they_are_faint() -> None:
    """As by a network that takes JPEG blocks off, and hair with them."""
    drawn = blurred(TRUTH, 0.7)
    noise = np.random.default_rng(0).normal(0, 1 / 255, TRUTH.shape).astype(np.float32)
    agreeing = drawn + agreement(TRUTH + noise, drawn, sharp=1.0)
    assert error(agreeing, TRUTH) < 0.6 * error(drawn, TRUTH)
