import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from base.errors import SettingsError
from runtime.faces.align import TEMPLATES, AlignedFace, align
from runtime.faces.ellipsoids import SOFTNESS
from runtime.faces.face import Face
from runtime.faces.regions import (
    REGIONS,
    check_weights,
    crop_landmarks,
    edge_mask,
    parse_weights,
    region_masks,
    region_weights,
)

S = 128
MIDDLE = (S - 1) / 2

HEAD = np.array([(-0.43, 0.0, 0.0), (0.43, 0.0, 0.0), (0.0, 0.5, 0.42), (-0.36, 1.0, 0.0), (0.36, 1.0, 0.0)])
"""Eyes, nose and mouth corners of a head, 1 from eyes to mouth: to the right, down, towards the viewer."""


def face(yaw=0.0, roll=0.0, unit=32.0, at=(MIDDLE, MIDDLE - 8)):
    """Landmarks of a head turned to the right by `yaw`, tilted by `roll`, with its eyes `at` a pixel."""
    x = HEAD[:, 0] * np.cos(yaw) + HEAD[:, 2] * np.sin(yaw)
    y = HEAD[:, 1]
    c, s = np.cos(roll), np.sin(roll)
    return unit * np.column_stack([c * x - s * y, s * x + c * y]) + at


def rotated(points, angle, centre=(MIDDLE, MIDDLE)):
    c, s = np.cos(angle), np.sin(angle)
    return (points - centre) @ np.array([[c, s], [-s, c]]) + centre


def aligned(crop, landmarks):
    """A face whose crop is its photo."""
    return AlignedFace(Face((0, 0, S, S), landmarks.astype(np.float32), 1.0), crop, np.eye(2, 3))


GREY = np.full((S, S, 3), 0.5, np.float32)
NOISE = np.random.default_rng(0).random((S, S, 3), np.float32)

yaws = st.floats(-0.9, 0.9)
rolls = st.floats(-np.pi, np.pi)
faces = st.builds(
    face, yaws, rolls, st.floats(8, 60), st.tuples(st.floats(0.3 * S, 0.7 * S), st.floats(0.3 * S, 0.7 * S))
)
weight_sets = st.dictionaries(st.sampled_from((*REGIONS, "edge", "face")), st.floats(0, 2))
any_landmarks = st.lists(
    st.tuples(st.floats(0, S), st.floats(0, S)), min_size=5, max_size=5, unique=True
).map(np.array)


@settings(deadline=None)
@given(faces)
def test_the_masks_share_each_pixel_among_them(landmarks):
    masks = np.stack(list(region_masks(landmarks, S).values()))
    assert masks.dtype == np.float32
    assert masks.min() >= 0
    np.testing.assert_allclose(masks.sum(axis=0), 1, atol=1e-6)


@settings(deadline=None)
@given(any_landmarks)
def test_landmarks_that_are_no_face_still_give_masks_that_share_each_pixel(landmarks):
    left_eye, right_eye, _, left_corner, right_corner = landmarks
    assume(
        np.hypot(*(right_eye - left_eye)) + np.hypot(*(left_corner + right_corner - left_eye - right_eye)) > 1
    )
    masks = np.stack(list(region_masks(landmarks, S).values()))
    assert masks.min() >= 0
    np.testing.assert_allclose(masks.sum(axis=0), 1, atol=1e-6)


@settings(deadline=None)
@given(yaws, rolls, st.floats(90, 120))
def test_the_masks_have_soft_edges(yaw, roll, unit):
    steepest = 3 / (SOFTNESS * unit)  # a smoothstep's is 1.5; where two edges meet, their slopes add
    for mask in region_masks(face(yaw, roll, unit, at=(128, 110)), 256).values():
        assert np.abs(np.diff(mask, axis=0)).max() < steepest
        assert np.abs(np.diff(mask, axis=1)).max() < steepest


@settings(deadline=None)
@given(yaws, rolls, st.floats(16, 60))
def test_each_landmark_lies_in_its_region(yaw, roll, unit):
    landmarks = face(yaw, roll, unit)
    masks = region_masks(landmarks, S)
    for region, (x, y) in zip(("eye", "eye", "nose", "lip", "lip"), landmarks, strict=True):
        x, y = round(x), round(y)
        if 0 <= x < S and 0 <= y < S:
            assert masks[region][y, x] > 0.9


@pytest.mark.parametrize(
    ("region", "place"),
    [
        ("brow", (0.45, -0.27)),
        ("forehead", (0.0, -0.6)),
        ("cheek", (0.55, 0.55)),
        ("cheek", (0.0, 1.4)),  # the chin
        ("ear", (1.05, 0.25)),
        ("hair", (0.0, -1.3)),
        ("hair", (1.08, -0.4)),
        ("other", (0.0, 1.8)),
        ("other", (1.6, 0.0)),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_the_regions_lie_where_a_portrait_has_them(region, place, side):
    landmarks = face()
    x, y = np.rint(landmarks[:2].mean(axis=0) + 32 * np.array(place) * (side, 1)).astype(int)
    assert region_masks(landmarks, S)[region][y, x] > 0.9


@settings(deadline=None)
@given(yaws, rolls, st.floats(24, 40))
def test_tilting_the_head_rotates_the_masks(yaw, tilt, unit):
    upright = face(yaw, 0, unit)
    turning = cv2.getRotationMatrix2D((MIDDLE, MIDDLE), -np.rad2deg(tilt), 1)
    tilted = region_masks(rotated(upright, tilt), S)
    y, x = np.mgrid[0:S, 0:S]
    inside = np.hypot(x - MIDDLE, y - MIDDLE) < MIDDLE - 1  # what no corner of the crop turns into
    for region, mask in region_masks(upright, S).items():
        difference = np.abs(cv2.warpAffine(mask, turning, (S, S)) - tilted[region])[inside]
        assert difference.mean() < 0.005
        assert difference.max() < 0.35  # OpenCV interpolates the soft edges, a few pixels wide


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_of_the_head_is_a_quarter_turn_of_the_masks(quarters):
    upright = face(0.3)
    turned = region_masks(rotated(upright, -quarters * np.pi / 2), S)
    for region, mask in region_masks(upright, S).items():
        np.testing.assert_allclose(np.rot90(mask, quarters), turned[region], atol=1e-4)


@settings(deadline=None)
@given(yaws, st.floats(8, 60))
def test_a_mirrored_face_has_mirrored_masks(yaw, unit):
    mirrored = region_masks(face(-yaw, 0, unit), S)
    for region, mask in region_masks(face(yaw, 0, unit), S).items():
        np.testing.assert_allclose(mask[:, ::-1], mirrored[region], atol=1e-4)


@pytest.mark.parametrize("region", ["cheek", "ear"])
def test_in_a_half_profile_the_far_side_shrinks_and_the_near_side_grows(region):
    def sides(yaw):
        mask = region_masks(face(yaw), S)[region]
        return mask[:, : S // 2].sum(), mask[:, S // 2 :].sum()

    frontal, (near, far) = sides(0), sides(0.5)  # the nose points to the right
    assert near > 1.1 * frontal[0]
    assert far < 0.8 * frontal[1]


def test_in_a_profile_the_far_ear_is_hidden():
    assert region_masks(face(0.8), S)["ear"][:, S // 2 :].sum() < 1


def test_a_larger_crop_shows_the_same_masks_larger():
    larger = region_masks((face() + 0.5) * 4 - 0.5, 4 * S)
    for region, mask in region_masks(face(), S).items():
        shrunk = cv2.resize(larger[region], (S, S), interpolation=cv2.INTER_AREA)
        assert np.abs(shrunk - mask).mean() < 0.003


@pytest.mark.parametrize("size", [64, 256, 300, 512])
def test_neutral_weights_are_exactly_one(size):
    crop = np.zeros((size, size, 3), np.float32)
    landmarks = TEMPLATES["published"] * size
    for weights in ({}, {"face": 1.0}, dict.fromkeys((*REGIONS, "edge"), 1)):
        rho = region_weights(aligned(crop, landmarks), weights)
        assert rho.shape == (size, size)
        assert rho.dtype == np.float32
        assert (rho == 1).all()


@settings(deadline=None)
@given(faces, weight_sets)
def test_rho_is_the_masks_weighted_and_edges_weighted_once_more(landmarks, weights):
    rho = region_weights(aligned(NOISE, landmarks), weights)
    face_weight = weights.get("face", 1)
    masks = region_masks(landmarks.astype(np.float32), S)
    expected = sum(weights.get(region, face_weight) * mask for region, mask in masks.items())
    expected = expected * (1 + edge_mask(NOISE) * (weights.get("edge", 1) - 1))
    assert (rho >= 0).all()
    np.testing.assert_allclose(rho, expected, atol=1e-5)


@settings(deadline=None)
@given(faces, weight_sets, st.sets(st.sampled_from(REGIONS), min_size=1))
def test_weight_zero_is_exactly_zero_where_the_region_is_alone(landmarks, weights, kept):
    rho = region_weights(aligned(NOISE, landmarks), {**weights, **dict.fromkeys(kept, 0.0)})
    masks = region_masks(landmarks.astype(np.float32), S)
    elsewhere = sum((mask for region, mask in masks.items() if region not in kept), np.zeros((S, S)))
    assert (rho[elsewhere == 0] == 0).all()


@pytest.mark.parametrize("region", REGIONS)
def test_weight_zero_keeps_something_of_every_region(region):
    assert (region_weights(aligned(GREY, face()), {region: 0.0}) == 0).any()


def test_face_zero_keeps_every_pixel():
    assert (region_weights(aligned(NOISE, face(0.4, 0.2)), {"face": 0.0}) == 0).all()


def test_a_named_region_wins_over_face():
    rho = region_weights(aligned(GREY, face()), {"face": 0.5, "eye": 1.5})
    x, y = np.rint(face()[0]).astype(int)
    assert rho[y, x] == 1.5
    assert rho[0, 0] == 0.5


def test_edge_weighs_strong_edges_only():
    split = GREY.copy()
    split[:, S // 2 :] = 0.9
    rho = region_weights(aligned(split, face()), {"edge": 0.7})
    np.testing.assert_allclose(rho[:, S // 2], 0.7, atol=1e-6)
    assert (rho[:, : S // 2 - 8] == 1).all()
    assert (rho[:, S // 2 + 8 :] == 1).all()


def test_flat_skin_has_no_edges():
    assert (edge_mask(GREY) == 0).all()
    shaded = np.linspace(0.3, 0.7, S, dtype=np.float32)[:, None, None] * np.ones((1, S, 3), np.float32)
    assert (edge_mask(shaded) == 0).all()


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_grain_is_no_edge(sigma):
    grain = GREY + np.random.default_rng(0).normal(0, sigma, GREY.shape).astype(np.float32)
    assert edge_mask(grain.clip(0, 1)).mean() < 0.005


@pytest.mark.parametrize("size", [64, 256, 512])
def test_the_outline_of_a_face_is_an_edge_in_a_crop_of_any_size(size):
    edges = edge_mask(astronaut(size).crop)
    assert edges.min() == 0
    assert edges.max() == 1
    x, y = np.rint(crop_landmarks(astronaut(size))).astype(int).T
    cheek = edges[y[2] - size // 20 : y[2], x[0] - size // 20 : x[0]]
    assert cheek.mean() < 0.02
    assert 0.02 < edges.mean() < 0.3


def astronaut(size):
    points = np.array([(203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4)])
    return align(skimage.data.astronaut(), Face((181, 58, 270, 178), points.astype(np.float32), 0.9), size)


def test_the_landmarks_of_a_crop_lie_near_the_template():
    assert np.abs(crop_landmarks(astronaut(512)) / 512 - TEMPLATES["published"]).max() < 0.04


def test_the_regions_have_the_colours_of_the_astronaut():
    crop, masks = astronaut(256).crop, region_masks(crop_landmarks(astronaut(256)), 256)
    mean = {
        region: np.average(crop, axis=(0, 1), weights=np.dstack([mask] * 3)) for region, mask in masks.items()
    }
    redness = {region: red - green for region, (red, green, _) in mean.items()}
    brightness = {region: colour.mean() for region, colour in mean.items()}
    assert max(redness, key=redness.get) == "lip"
    assert brightness["hair"] < brightness["cheek"]
    assert brightness["eye"] < brightness["nose"]


def test_weights_are_read_as_the_command_line_gives_them():
    assert parse_weights("eye=1.3,lip=0") == {"eye": 1.3, "lip": 0.0}
    assert parse_weights("face=0.5, edge=2") == {"face": 0.5, "edge": 2.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "name=number"),
        ("eye", "name=number"),
        ("eye=much", "name=number"),
        ("eye=1,", "name=number"),
        ("chin=1", "cheek, forehead"),
        ("=1", "cheek, forehead"),
        ("eye=2.1", "2.1.*0, which keeps the photo, to 2"),
        ("eye=-0.1", "-0.1.*0, which keeps the photo, to 2"),
        ("eye=nan", "nan"),
        ("eye=inf", "inf"),
        ("eye=1,eye=1.2", "two weights"),
        ("ey\ne=1", "there is no"),
    ],
)
def test_weights_that_cannot_be_meant_are_an_error_of_one_line(text, said):
    with pytest.raises(SettingsError, match=said) as error:
        parse_weights(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("weights", [{"eye": "1"}, {"eye": None}, {"eye": True}, {"eyes": 1.0}, {7: 1.0}])
def test_weights_from_a_file_are_checked(weights):
    with pytest.raises(SettingsError):
        check_weights(weights)


@given(weight_sets)
def test_weights_in_the_range_pass(weights):
    check_weights(weights)
