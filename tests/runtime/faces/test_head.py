"""What of a crop is pasted: the head by its own soft shape, and never the square."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.faces.align import TEMPLATES, AlignedFace, align, scaled
from runtime.faces.face import Face
from runtime.faces.head import head_shape
from runtime.faces.regions import region_masks
from runtime.finish.paste import paste_all

S = 128


def aligned_at(x: float, y: float, scale: float = 1.0, angle: float = 0.0, size: int = S) -> AlignedFace:
    """A face in a grey photo whose crop has its middle at (x, y), turned by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    points = (TEMPLATES["published"] - 0.5) * S * scale @ np.array([[c, s], [-s, c]]) + (x, y)
    photo = np.full((600, 600, 3), 128, np.uint8)
    return align(photo, Face((0.0, 0.0, 1.0, 1.0), points.astype(np.float32), 1.0), size)


@pytest.mark.parametrize("size", [64, 128, 512])
def test_the_face_is_inside_and_the_corners_are_not(size: int) -> None:
    shape = head_shape(aligned_at(300, 300, size=size))
    masks = region_masks(TEMPLATES["published"] * size, size)
    face = sum(masks[name] for name in ("eye", "brow", "nose", "lip"))
    assert shape[face > 0.5].min() > 0.999
    skin = cv2.erode((masks["cheek"] + masks["forehead"] > 0.5).astype(np.uint8), np.ones((size // 16,) * 2))
    assert shape[skin > 0].min() > 0.9
    corner = size // 8
    for rows in (np.s_[:corner], np.s_[-corner:]):
        for columns in (np.s_[:corner], np.s_[-corner:]):
            assert shape[rows, columns].max() == 0
    assert 0 <= shape.min() <= shape.max() <= 1
    assert 0.3 < shape.mean() < 0.7


def test_its_border_is_wide() -> None:
    shape = head_shape(aligned_at(300, 300, size=256))
    assert np.abs(np.diff(shape, axis=0)).max() < 0.1
    assert np.abs(np.diff(shape, axis=1)).max() < 0.1


def pasted(aligned: AlignedFace, side: int = 600) -> NDArray[np.float64]:
    """Where a face is pasted, 0 to 1."""
    photo = np.zeros((side, side, 3), np.uint8)
    paste_all(photo, [(aligned, np.ones((len(aligned.crop),) * 2 + (3,), np.float32))])
    return np.asarray(photo[..., 0] / 255)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.0])
def test_no_straight_line_is_left_in_a_wall_around_the_head(angle: float) -> None:
    """Half-way from the middle of each side of the crop to its corner nothing is touched; a square would."""
    aligned = aligned_at(300, 300, 3.0, angle)
    covered = pasted(aligned)
    for x, y in ((0.1, 0.25), (0.9, 0.25), (0.1, 0.8), (0.9, 0.8), (0.1, 0.1), (0.9, 0.1)):
        column, row = np.rint(aligned.to_photo @ (S * x, S * y, 1)).astype(int)
        assert covered[row, column] == 0
    assert covered[300, 300] == 1
    assert np.abs(np.diff(covered, axis=0)).max() < 0.1


def test_the_shape_follows_a_face_into_an_enlarged_photo() -> None:
    aligned = aligned_at(150, 150, 1.5, 0.3)
    small = pasted(aligned, 300)
    large = pasted(scaled(aligned, 2), 600)
    np.testing.assert_allclose(cv2.resize(large, (300, 300), interpolation=cv2.INTER_AREA), small, atol=0.02)
