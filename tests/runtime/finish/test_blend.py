import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.finish.blend import coarse_blend, narrow_mask

FEATHER = 52 / 512


def blended(change, kappa=0.0):
    """The whole change that a face makes to a photo of its crop's size."""
    size = len(change)
    left = np.full((size, size), kappa, np.float32)
    mask = narrow_mask(size, FEATHER * size)[..., None]
    return mask * change + coarse_blend(change, left, FEATHER * size)


def checked(size, period):
    x = np.arange(size) // period % 2 * 2.0 - 1
    return np.dstack([np.outer(x, x).astype(np.float32)] * 3)


@pytest.mark.parametrize("size", [64, 256, 512])
def test_the_middle_of_the_face_changes_whole_and_the_edge_not_at_all(size):
    change = np.random.default_rng(0).normal(0.1, 0.2, (size, size, 3)).astype(np.float32)
    after = blended(change)
    middle = np.s_[size // 3 : -size // 3, size // 3 : -size // 3]
    np.testing.assert_allclose(after[middle], change[middle], atol=0.01)
    for border in (after[0], after[-1], after[:, 0], after[:, -1]):
        np.testing.assert_array_equal(border, 0)


def crossing(change):
    """How many pixels the change takes to grow from a tenth to nine tenths, halfway down the left border."""
    size = len(change)
    strength = np.abs(blended(change)[size // 2 - 8 : size // 2 + 8, : size // 3]).mean(axis=(0, 2))
    strength /= np.abs(change).mean()
    return np.argmax(strength > 0.9) - np.argmax(strength > 0.1)


def test_brightness_changes_over_many_pixels_and_texture_over_few():
    bright = np.full((256, 256, 3), 0.2, np.float32)
    assert crossing(bright) > 1.8 * crossing(checked(256, 1))


@given(st.integers(0, 2**32 - 1))
def test_a_region_left_to_the_photo_gets_nothing(seed):
    rng = np.random.default_rng(seed)
    change = rng.normal(0, 0.3, (64, 64, 3)).astype(np.float32)
    kappa = np.clip(rng.uniform(-1, 2, (64, 64)), 0, 1).astype(np.float32)
    coarse = coarse_blend(change, kappa, FEATHER * 64)
    np.testing.assert_array_equal(coarse[kappa == 1], 0)
    assert np.abs(coarse).max() > 0


def test_no_change_stays_none():
    np.testing.assert_array_equal(blended(np.zeros((64, 64, 3), np.float32)), 0)


def test_an_even_change_grows_steadily_from_the_edge_inwards():
    row = blended(np.full((256, 256, 3), 0.2, np.float32))[128, :128, 0]
    assert (np.diff(row) > -1e-3).all()
    assert np.abs(np.diff(row)).max() < 0.02
