import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.network.degrade import degrade


def portrait(size=128):
    face = skimage.data.astronaut()[40:200, 140:300]
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def detail(crop):
    return np.abs(cv2.Laplacian(crop, cv2.CV_32F)).mean()


def test_scale_0_returns_the_crop_itself():
    crop = portrait()
    assert degrade(crop, 0) is crop


@given(scale=st.floats(0.3, 1.2), size=st.sampled_from([64, 128, 256]))
@settings(deadline=None, max_examples=20)
def test_a_degraded_crop_is_a_crop_and_the_same_each_time(scale, size):
    crop = portrait(size)
    before = crop.copy()
    degraded = degrade(crop, scale)
    assert degraded.shape == crop.shape
    assert degraded.dtype == np.float32
    assert 0 <= degraded.min() <= degraded.max() <= 1
    np.testing.assert_array_equal(degraded, degrade(crop, scale))
    np.testing.assert_array_equal(crop, before)


def test_a_larger_scale_leaves_less_detail():
    crop = portrait(512)
    left = [detail(degrade(crop, scale)) for scale in (0.3, 0.6, 0.9, 1.2)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.6 * detail(crop)


def test_the_blur_grows_with_the_crop():
    spots = []
    for size in (256, 1024):
        dot = np.zeros((size, size, 3), np.float32)
        dot[size // 2 - 8 : size // 2 + 8, size // 2 - 8 : size // 2 + 8] = 1
        line = degrade(dot, 1.2)[size // 2, :, 1]
        spots.append(((line > 0.1) & (line < 0.9)).sum())
    assert spots[1] > 2 * spots[0]


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_colours_stay_in_their_channels(channel):
    crop = np.full((64, 64, 3), 0.25, np.float32)
    crop[..., channel] = 0.75
    np.testing.assert_allclose(degrade(crop, 1.0), crop, atol=0.01)
