"""What is done at half a photo's size reaches each of its pixels."""

import cv2
import numpy as np
import pytest

from runtime.pixels import Pixels
from runtime.rest.coarser import LEAST, smooth_coarse_noise


@pytest.mark.parametrize("shape", [(128, 96), (131, 97), (1201, 1027)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_change_of_the_half_is_added_in_place(shape: tuple[int, int], dtype: type) -> None:
    top = np.iinfo(dtype).max
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    photo = np.repeat((0.4 * top + 0.2 * top * np.sin(rows / 40 + columns / 50))[..., None], 3, axis=2)
    photo = photo.astype(dtype)
    before = photo.copy()

    def darker_below(half: Pixels) -> Pixels:
        assert half.shape == (shape[0] // 2, shape[1] // 2, 3)
        np.testing.assert_allclose(half[10, 10] / 65535, before[20, 20] / top, atol=0.01)
        return np.asarray(half - (np.arange(len(half)) >= 40)[:, None, None] * half // 4, np.uint16)

    smooth_coarse_noise(photo, darker_below)
    share = photo.astype(np.float64) / before
    np.testing.assert_allclose(share[:78], 1, atol=0.02)
    np.testing.assert_allclose(share[82:], 0.75, atol=0.02)


def test_small_photos_stay() -> None:
    photo = np.full((LEAST - 1, 200, 3), 90, np.uint8)
    smooth_coarse_noise(photo, lambda half: cv2.bitwise_not(half))  # type: ignore[arg-type, return-value]
    assert (photo == 90).all()
