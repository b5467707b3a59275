"""Lines that were removed with noise: found along their length, and handed back without the noise."""

import cv2
import numpy as np
import pytest

from runtime.finish.lines import find_lines

SIGMA = 10 / 255
NOISE = np.full(3, SIGMA, np.float32)


def noise(seed: int = 0, side: int = 192, blur: float = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(0, 1, (side, side, 3)).astype(np.float32)
    if blur:
        made = cv2.GaussianBlur(made, (0, 0), blur)
    return made * np.float32(SIGMA / made.std())


def hair(side: int = 192) -> np.ndarray:
    drawn = cv2.ellipse(
        np.zeros((side, side), np.float32), (side // 2, 0), (60, 150), 0, 0, 180, 1, 2, cv2.LINE_AA
    )
    return drawn[..., None] * np.float32((0.06, 0.04, 0.03))


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("upscale", [1, 2])
def test_a_faint_hair_is_handed_back_and_hardly_any_noise(upscale):
    removed = noise() + hair()
    lines = find_lines(removed, NOISE, 1.0, upscale)
    if upscale > 1:
        removed, there = (
            cv2.resize(p, None, fx=upscale, fy=upscale, interpolation=cv2.INTER_LANCZOS4)
            for p in (removed, hair())
        )
    else:
        there = hair()
    back = lines.of(removed)
    on, off = there[..., 0] > 0.04, cv2.dilate(there[..., 0], np.ones((25, 25))) < 0.001
    assert rms((back - there)[on]) < 0.65 * rms(there[on])
    assert rms(back[off]) < 0.25 * rms(removed[off])


def test_coarse_noise_is_measured_and_does_not_return_as_lines():
    removed = noise(blur=1.0)
    white = find_lines(noise(1), NOISE, 1.0)
    coarse = find_lines(removed, NOISE, 1.0)
    assert rms(coarse.of(removed)) < 0.4 * rms(removed) < rms(white.of(removed))


def test_nothing_is_handed_back_without_noise_or_if_noise_is_not_the_only_damage():
    assert find_lines(hair(), np.zeros(3, np.float32), 1.0) is None
    assert find_lines(hair(), NOISE, 0.0) is None
    half, whole = (find_lines(noise() + hair(), NOISE, trust).of(noise() + hair()) for trust in (0.5, 1.0))
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)
