import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from runtime.finish.ringing import clamp_ringing, ringing_reach

ALL = np.s_[0:40, 0:40]


def edge(dtype=np.uint8):
    """A soft edge from dark to bright."""
    top = np.iinfo(dtype).max
    row = np.clip((np.arange(40) - 15) / 10, 0, 1) * 0.6 + 0.2
    return np.rint(np.dstack([np.tile(row, (40, 1))] * 3) * top).astype(dtype)


def sharpened(photo):
    picture = photo.astype(np.float32) / np.iinfo(photo.dtype).max
    return picture + 3 * (picture - cv2.GaussianBlur(picture, (0, 0), 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ringing_after_is_no_stronger_than_before(dtype):
    photo = edge(dtype)
    rings = sharpened(photo)
    assert rings.max() > 0.9
    assert rings.min() < 0.1
    clamped = clamp_ringing(rings, photo, ALL, 3)
    assert clamped.max() <= 0.8 + 1e-4
    assert clamped.min() >= 0.2 - 1e-4


def test_an_edge_stays_sharpened():
    photo = edge()
    rings = sharpened(photo)
    clamped = clamp_ringing(rings, photo, ALL, 3)
    steepest = [float(np.diff(row[20, :, 0]).max()) for row in (photo / np.float32(255), clamped)]
    assert steepest[1] > 1.4 * steepest[0]


@given(
    arrays(np.uint8, (9, 9, 3)),
    arrays(np.float32, (5, 5, 3), elements=st.floats(-0.5, 1.5, width=32)),
)
def test_no_pixel_leaves_the_photos_range_nearby(photo, composed):
    clamped = clamp_ringing(composed, photo, np.s_[2:7, 2:7], 2)
    for y, x in np.ndindex(5, 5):
        around = photo[y : y + 5, x : x + 5].reshape(-1, 3) / np.float32(255)
        assert (clamped[y, x] <= around.max(axis=0) + 1e-6).all()
        assert (clamped[y, x] >= around.min(axis=0) - 1e-6).all()


def test_what_lies_well_within_the_range_is_not_touched():
    photo = np.zeros((9, 9, 3), np.uint8)
    photo[::2] = 255
    composed = np.random.default_rng(0).uniform(0.05, 0.95, (9, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(clamp_ringing(composed, photo, np.s_[0:9, 0:9], 2), composed, atol=1e-6)


def test_in_faint_channels_the_bend_is_as_much_smaller():
    light = np.array([1, 0.1, 0.2])
    photo = np.rint(edge(np.uint16) * light).astype(np.uint16)
    rings = sharpened(edge(np.uint16)) * light.astype(np.float32)
    alike = clamp_ringing(rings, photo, ALL, 3, 1 / light) / light
    np.testing.assert_allclose(alike[..., 1:], alike[..., :1].repeat(2, axis=2), atol=1e-3)


def test_a_ramp_is_clamped_without_a_corner():
    photo = np.full((3, 400, 3), 60, np.uint8)
    photo[::2] = 200
    ramp = np.tile(np.linspace(0.5, 1, 400, dtype=np.float32)[None, :, None], (3, 1, 3))
    slope = np.diff(clamp_ringing(ramp, photo, np.s_[0:3, 0:400], 1)[1, :, 0])
    assert (slope >= -1e-6).all()
    assert np.abs(np.diff(slope)).max() < 0.1 * slope.max()


def test_the_reach_follows_the_face_up_to_a_limit():
    assert [ringing_reach(scale) for scale in (0.3, 1.0, 2.5, 50.0)] == [3, 3, 8, 16]
