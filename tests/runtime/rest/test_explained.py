"""What noise and JPEG explain of a change, and what is the photo's own texture."""

import cv2
import numpy as np
import pytest

from portraits.damage import Portrait, compressed
from runtime.rest.explained import SHADES, explained

LEVELS = 255


@pytest.fixture(scope="module")
def photo() -> Portrait:
    """Soft shades, and in its lower half sharp texture as of gravel."""
    rows, columns = np.mgrid[:256, :256]
    soft = np.stack([60 + rows / 4, 90 + columns / 4, 110 + 20 * np.sin(rows / 40)], axis=2)
    grains = np.random.default_rng(3).normal(0, 1, (256, 256)).astype(np.float32)
    gravel = cv2.GaussianBlur(grains, (0, 0), 0.8)
    soft[128:] += 25 * (gravel / gravel.std())[128:, :, None]
    return np.rint(np.clip(soft, 8, 247)).astype(np.uint8)


def noisy(photo: Portrait, sigma: float) -> Portrait:
    noise = np.random.default_rng(0).normal(0, sigma, photo.shape)
    return np.rint(np.clip(photo + noise, 0, 255)).astype(np.uint8)


@pytest.mark.parametrize("sigma", [3, 10, 25])
def test_noise_is_measured_where_nothing_else_is(photo: Portrait, sigma: float) -> None:
    found = explained(noisy(photo, sigma)).noise * LEVELS
    assert found.shape == (SHADES,)
    assert 0.75 * sigma < np.median(found) < 1.25 * sigma


def test_texture_is_no_noise(photo: Portrait) -> None:
    assert (explained(photo).noise * LEVELS).max() < 1.5
    assert explained(photo).jpeg == 0


def leaves() -> Portrait:
    """Fine texture all over, without a flat place, as of a forest's floor."""
    rng = np.random.default_rng(5)
    grains = cv2.GaussianBlur(rng.normal(0, 1, (300, 300)).astype(np.float32), (0, 0), 0.7)
    depth = cv2.resize(rng.uniform(0.4, 1, (8, 8)).astype(np.float32), (300, 300))
    shade = 90 + 10 * depth * grains / grains.std()
    return np.rint(np.clip(np.stack([0.7 * shade, shade, 0.5 * shade], axis=2), 0, 255)).astype(np.uint8)


def test_noise_on_texture_is_told_by_its_colours() -> None:
    found = explained(noisy(leaves(), 5)).noise * LEVELS
    assert 0.75 * 5 < np.median(found) < 1.3 * 5


def test_coarse_grain_in_colour_is_measured_though_it_lacks_the_finest_detail(photo: Portrait) -> None:
    grain = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, photo.shape), (0, 0), 0.9)
    damaged = np.rint(np.clip(photo + 8 * grain / grain.std(), 0, 255)).astype(np.uint8)
    assert 0.6 * 8 < np.median(explained(damaged).noise * LEVELS) < 1.2 * 8


@pytest.mark.parametrize("quality", [None, 90, 75])
def test_white_noise_is_told_from_coarse_though_compressed(photo: Portrait, quality: int | None) -> None:
    noise = np.random.default_rng(1).normal(0, 1, photo.shape)
    white = {}
    for blur in (0.0, 0.4, 0.9):
        made = cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise
        damaged = np.rint(np.clip(photo + 16 * made / made.std(), 0, 255)).astype(np.uint8)
        white[blur] = explained(compressed(damaged, quality) if quality else damaged).is_of_white_noise
    assert white == {0.0: True, 0.4: True, 0.9: False}


@pytest.mark.parametrize("quality", [None, 75, 30])
def test_a_photo_without_noise_has_no_white_noise(photo: Portrait, quality: int | None) -> None:
    assert not explained(compressed(photo, quality) if quality else photo).is_of_white_noise


@pytest.mark.parametrize(("quality", "step"), [(30, 20), (50, 12), (80, 5)])
def test_jpeg_is_known_by_its_steps(quality: int, step: int) -> None:
    from skimage.data import astronaut

    damage = explained(compressed(astronaut(), quality))  # type: ignore[no-untyped-call]
    assert damage.jpeg * LEVELS == pytest.approx(step / np.sqrt(12), rel=0.2)


def test_a_change_keeps_within_the_damage(photo: Portrait) -> None:
    own = photo.astype(np.float32) / LEVELS
    smooth = cv2.GaussianBlur(own, (0, 0), 2)
    change = smooth - own  # takes all texture away
    kept = explained(photo).limit(photo, change)
    texture = np.s_[150:240, 20:230]
    assert np.abs(kept[texture]).mean() < 0.15 * np.abs(change[texture]).mean()
    damaged = noisy(photo, 20)
    flat = np.s_[20:110, 20:230]
    change = own - damaged.astype(np.float32) / LEVELS  # takes all noise away, and nothing else
    kept = explained(damaged).limit(damaged, change)
    assert np.abs(kept[flat]).mean() > 0.9 * np.abs(change[flat]).mean()


def test_the_finest_noise_that_is_left_goes_where_it_is_no_detail(photo: Portrait) -> None:
    own = photo.astype(np.float32) / LEVELS
    damaged = noisy(photo, 20)
    change = 0.85 * (own - damaged.astype(np.float32) / LEVELS)  # leaves some of the noise
    damage = explained(damaged)
    more = damaged.astype(np.float32) / LEVELS + damage.without_finest(damaged, change)
    left = damaged.astype(np.float32) / LEVELS + change
    flat, texture = np.s_[20:110, 20:230], np.s_[150:240, 20:230]
    assert np.std(more[flat] - own[flat]) < 0.6 * np.std(left[flat] - own[flat])
    assert np.std(more[texture] - left[texture]) < 0.15 * np.std(own[texture])
    assert explained(photo).without_finest(photo, change) is change


def test_only_strong_damage_leaves_mottling(photo: Portrait) -> None:
    assert [explained(noisy(photo, sigma)).leaves_mottling for sigma in (4, 20)] == [False, True]
    assert explained(compressed(noisy(photo, 20), 40)).leaves_mottling
    assert not explained(compressed(photo, 90)).leaves_mottling


def test_sixteen_bits_are_measured_alike(photo: Portrait) -> None:
    damaged = compressed(noisy(photo, 6), 60)
    eight, sixteen = explained(damaged), explained(damaged.astype(np.uint16) * 257)
    np.testing.assert_allclose(sixteen.noise, eight.noise, atol=1e-4)
    assert sixteen.jpeg == eight.jpeg


def test_a_change_may_exceed_noise_but_not_slight_texture(photo: Portrait) -> None:
    slight, strong = (explained(noisy(photo, sigma)) for sigma in (2, 10))
    assert slight.factor.min() == 1 < strong.factor.min()


def test_small_and_clipped_photos_have_no_damage_to_tell() -> None:
    for value in (0, 255):
        damage = explained(np.full((40, 7, 3), value, np.uint8))
        assert damage.jpeg == 0
        assert not damage.noise.any()


def page(kind: str) -> Portrait:
    """Strokes so near to each other that no block between them is flat, or none that is not clipped."""
    page = np.full((300, 300, 3), 255 if kind == "hatching" else (236, 224, 194), np.uint8)
    ink = (20, 16, 14)
    if kind == "text":
        for row in range(13, 320, 13):
            cv2.putText(page, 4 * "as he had told them ", (-5, row), cv2.FONT_HERSHEY_PLAIN, 0.7, ink)
    else:
        for left in range(-300, 300, 12):
            cv2.line(page, (left, 0), (left + 300, 420), ink, 1, cv2.LINE_AA)
    return page


@pytest.mark.parametrize("kind", ["text", "hatching"])
def test_strokes_are_no_noise(kind: str) -> None:
    assert (explained(page(kind)).noise * LEVELS).max() < 0.5
    assert (explained(compressed(page(kind), 80)).noise * LEVELS).max() < 15


@pytest.mark.parametrize("kind", ["text", "hatching"])
def test_noise_between_strokes_is_measured(kind: str) -> None:
    found = explained(noisy(page(kind), 6)).noise * LEVELS
    assert 0.6 * 6 < found[-2] < 1.9 * 6


@pytest.mark.parametrize("times", [4, 5])
def test_noise_enlarged_without_smoothing_is_no_drawing(photo: Portrait, times: int) -> None:
    side = 256 // times
    small = noisy(cv2.resize(photo[:128, :128], (side, side), interpolation=cv2.INTER_AREA), 15)
    found = explained(cv2.resize(small, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST))
    assert np.median(found.noise * LEVELS) > 2.5


def test_a_chequered_page_has_no_noise() -> None:
    rows, columns = np.mgrid[:300, :300] // 10
    page = np.where((rows + columns)[..., None] % 2, (236, 224, 194), (60, 40, 90)).astype(np.uint8)
    assert not explained(page).noise.any()
