import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from base.errors import PhotoError
from runtime.faces.align import TEMPLATES, align, crop_matrix, cut_out, cut_quickly, inverted, joined, scaled
from runtime.faces.face import Face

EYES_NOSE_MOUTH = np.array(
    [(203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4)], np.float32
)
ASTRONAUT = Face((181.5, 58.2, 269.9, 177.8), EYES_NOSE_MOUTH, 0.93)

scales = st.floats(0.01, 50)
angles = st.floats(-np.pi, np.pi)
shifts = st.floats(-5000, 5000)


def similarity(scale, angle, x, y):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


def moved(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def face_in(shape, scale):
    """A face whose template, as wide as `scale` crops of 64, lies in the middle of a photo."""
    points = (TEMPLATES["published"] - 0.5) * 64 * scale + (shape[1] / 2, shape[0] / 2)
    return Face((0.0, 0.0, 1.0, 1.0), points.astype(np.float32), 1.0)


@pytest.mark.parametrize("scale", [0.8, 1, 1.2])
def test_a_face_about_as_large_as_the_crop_keeps_its_sharpness(scale):
    stripes = 128 + 100 * np.cos(2 * np.pi * np.arange(200) / 5)
    photo = np.tile(np.rint(stripes).astype(np.uint8)[None, :, None], (200, 1, 3))
    crop = align(photo, face_in(photo.shape, scale), 64).crop
    assert 255 * crop.std() == pytest.approx(100 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [0.4, 1.2, 1.9, 3.7])
def test_a_quick_crop_shows_nearly_the_same(scale, dtype, portrait):
    photo = portrait.astype(dtype) * (np.iinfo(dtype).max // 255)
    size = round(120 / scale)
    to_photo = similarity(scale, 0.2, 170, 30)
    quick, exact = (cut(photo, to_photo, size) for cut in (cut_quickly, cut_out))
    assert quick.shape == exact.shape
    assert quick.dtype == exact.dtype
    assert 255 * np.abs(quick - exact).mean() < 2.5
    assert quick.std() == pytest.approx(exact.std(), rel=0.02)


def test_a_quick_crop_beyond_the_edge_is_black_on_request():
    photo = np.full((40, 30, 3), 200, np.uint8)
    crop = cut_quickly(photo, similarity(2.0, 0.0, -20, 5), 32, border=cv2.BORDER_CONSTANT)
    assert not crop[:, :8].any()
    assert not crop[-8:].any()
    np.testing.assert_allclose(crop[4:16, 12:22], 200 / 255, atol=1e-6)


def test_published_template_has_the_published_numbers():
    expected = [
        (66.29459953, 79.69630051),
        (101.53179932, 79.50139999),
        (84.02519989, 99.73660278),
        (69.54930115, 120.3655014),
        (98.72990036, 120.20410156),
    ]
    np.testing.assert_allclose(TEMPLATES["published"] * 168, expected, atol=1e-9)


def test_ffhq_template_shows_the_face_larger_than_the_published_one():
    published, ffhq = (np.ptp(TEMPLATES[name], axis=0) for name in ("published", "ffhq"))
    assert (ffhq > published).all()


@given(scales, angles, shifts, shifts)
def test_crop_matrix_recovers_any_similarity(scale, angle, x, y):
    to_photo = similarity(scale, angle, x, y)
    found = crop_matrix(moved(to_photo, TEMPLATES["published"] * 512), 512)
    corners = np.array([(0, 0), (512, 0), (0, 512), (512, 512)])
    np.testing.assert_allclose(moved(found, moved(to_photo, corners)), corners, atol=1e-4)


@given(st.lists(st.tuples(shifts, shifts), min_size=5, max_size=5))
def test_crop_matrix_never_mirrors_or_shears(points):
    try:
        matrix = crop_matrix(points, 256)
    except PhotoError:
        return
    a, b = matrix[:, 0]
    np.testing.assert_allclose(matrix[:, 1], (-b, a), atol=1e-9 + 1e-9 * np.hypot(a, b))
    assert np.linalg.det(matrix[:, :2]) > 0


@given(scales, angles, shifts, shifts)
def test_photo_to_crop_and_back_is_where_it_was(scale, angle, x, y):
    matrix = similarity(scale, angle, x, y)
    np.testing.assert_allclose(joined(inverted(matrix), matrix), np.eye(2, 3), atol=1e-6)


@pytest.mark.parametrize("landmarks", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_landmarks_in_one_place_are_an_error_that_says_so(landmarks):
    with pytest.raises(PhotoError, match="cannot be aligned"):
        crop_matrix(landmarks, 512)


@pytest.mark.parametrize("template", ["published", "ffhq"])
def test_landmarks_land_near_the_template(template):
    aligned = align(skimage.data.astronaut(), ASTRONAUT, 512, template)
    landed = moved(inverted(aligned.to_photo), EYES_NOSE_MOUTH)
    assert np.abs(landed - TEMPLATES[template] * 512).max() < 512 * 0.04


def test_a_crop_shows_what_the_matrix_says():
    y, x = np.mgrid[0:300, 0:400]
    photo = np.dstack([x * 0.5, y * 0.7, np.full(x.shape, 9)]).astype(np.uint8)
    aligned = align(photo, face_in(photo.shape, 1.5), 64)
    here = moved(aligned.to_photo, np.array([(10.0, 20.0), (50.0, 40.0)]))
    np.testing.assert_allclose(aligned.crop[[20, 40], [10, 50], 0] * 255, here[:, 0] * 0.5, atol=1)
    np.testing.assert_allclose(aligned.crop[[20, 40], [10, 50], 1] * 255, here[:, 1] * 0.7, atol=1)


@pytest.mark.parametrize("scale", [1.3, 2.0, 3.7, 11.0])
def test_a_face_larger_than_the_crop_is_averaged_not_sampled(scale):
    side = round(64 * scale) + 40
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    spread = align(noise, face_in(noise.shape, scale), 64).crop.std()
    # Averaging n×n independent pixels divides the spread by n; the cubic warp keeps some of it.
    assert spread < 1.35 * noise.std() / 255 / scale


def test_a_crop_beyond_the_photo_has_no_black_corners():
    photo = np.full((120, 100, 3), 180, np.uint8)
    off = Face((0, 0, 1, 1), np.asarray(face_in(photo.shape, 2).landmarks) - (60, 50), 1.0)
    far = Face((0, 0, 1, 1), np.asarray(face_in(photo.shape, 2).landmarks) - (900, 900), 1.0)
    for face in (off, far):
        np.testing.assert_allclose(align(photo, face, 64).crop, 180 / 255, atol=1e-4)


def test_a_16_bit_photo_gives_the_same_crop():
    photo = skimage.data.astronaut()
    deep = photo.astype(np.uint16) * 257
    np.testing.assert_allclose(align(deep, ASTRONAUT, 128).crop, align(photo, ASTRONAUT, 128).crop, atol=1e-5)


def test_only_the_surroundings_of_the_face_are_read():
    photo = skimage.data.astronaut()
    alone = photo.copy()
    alone[230:], alone[:, :90], alone[:, 360:] = 0, 0, 0
    np.testing.assert_array_equal(align(photo, ASTRONAUT, 256).crop, align(alone, ASTRONAUT, 256).crop)


@pytest.mark.parametrize("factor", [2, 4])
def test_scaled_is_where_the_face_lies_in_the_enlarged_photo(factor):
    photo = cv2.GaussianBlur(skimage.data.astronaut(), (0, 0), 2)
    aligned = align(photo, ASTRONAUT, 128)
    larger = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_LANCZOS4)
    to_crop = inverted(scaled(aligned, factor).to_photo)
    seen = cv2.warpAffine(larger, to_crop, (128, 128), flags=cv2.INTER_CUBIC) / 255
    assert np.abs(seen - aligned.crop).mean() < 0.002
    assert scaled(aligned, factor).scale == pytest.approx(factor * aligned.scale)
