"""The tones of faded and yellowed photos."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from runtime.faces.face import Face
from runtime.rest.tones import MOST_GAIN, tone_curves, with_restored_tones

SKIN = np.array([224, 172, 140])


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.asarray(astronaut()[::2, ::2])


def faded(photo: NDArray[np.uint8], low: list[float], high: list[float]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.add(low, photo / 255 * np.subtract(high, low))), np.uint8)


def test_a_photo_of_full_range_stays_as_it_is(photo: NDArray[np.uint8]) -> None:
    assert tone_curves(photo) is None
    assert with_restored_tones(photo, photo) is photo


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_faded_yellow_photo_gets_range_and_neutral_whites(photo: NDArray[np.uint8], dtype: type) -> None:
    print_ = faded(photo, [60, 50, 40], [220, 200, 170])
    if dtype is np.uint16:
        print_ = print_.astype(np.uint16) * 257  # type: ignore[assignment]
    curves = tone_curves(print_)
    assert curves is not None
    assert curves.dtype == dtype
    rising = np.diff(curves.astype(int), axis=0)
    assert (rising >= 0).all()
    step = np.iinfo(dtype).max // 51
    assert np.diff(curves[::step].astype(int), axis=0).max() <= (MOST_GAIN + 0.3) * step
    result = with_restored_tones(print_, print_) / np.iinfo(dtype).max * 255
    before = print_ / np.iinfo(dtype).max * 255
    assert np.abs(result - photo).mean() < 0.5 * np.abs(before - photo).mean()


def test_grey_stays_grey(photo: NDArray[np.uint8]) -> None:
    grey = np.repeat(faded(photo, [50] * 3, [190] * 3)[..., 1:2], 3, axis=2)
    result = with_restored_tones(grey, grey)
    assert (result == result[..., :1]).all()
    assert np.ptp(result) > np.ptp(grey) + 30


def test_skin_keeps_the_order_of_its_channels() -> None:
    """In a photo of a warm scene nothing is neutral, and a curve made of it would turn skin blue."""
    rng = np.random.default_rng(0)
    light = rng.uniform(0.1, 0.9, (200, 200, 1))
    scene = light * [255, 190, 120] + [20, 10, 0]
    scene[60:140, 60:140] = [150, 105, 100]
    photo = np.asarray(np.clip(scene, 0, 255), np.uint8)
    landmarks = np.array([[80, 80], [120, 80], [100, 100], [85, 120], [115, 120]], np.float32)
    face = Face((60.0, 60.0, 140.0, 140.0), landmarks, 0.9)
    free = with_restored_tones(photo, photo)[100, 100].astype(int)
    bound = with_restored_tones(photo, photo, [face])[100, 100].astype(int)
    assert free[2] > free[1]
    assert bound[0] >= bound[1] >= bound[2]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_picture_does_no_harm(level: int) -> None:
    plain = np.full((20, 30, 3), level, np.uint8)
    result = with_restored_tones(plain, plain)
    assert (result == result[0, 0, 0]).all()
