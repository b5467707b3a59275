import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

import runtime.finish.paste
from runtime.faces.align import TEMPLATES, align, face_rectangle, scaled
from runtime.faces.face import Face
from runtime.faces.noise import face_noise
from runtime.finish.fine_detail import WHOLE
from runtime.finish.fringes import without_fringes
from runtime.finish.hand_back import HandBack
from runtime.finish.paste import paste_all, warp_to_photo
from runtime.finish.ringing import without_ringing
from runtime.finish.steps import Step
from runtime.settings.presets import preset

SIZE = 64


def face_at(x, y, scale=1.0, angle=0.0):
    """A face whose crop of SIZE has its middle at (x, y), turned by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    points = (TEMPLATES["published"] - 0.5) * SIZE * scale @ np.array([[c, s], [-s, c]]) + (x, y)
    return Face((0.0, 0.0, 1.0, 1.0), points.astype(np.float32), 1.0)


def smooth_photo(dtype=np.uint8):
    photo = cv2.GaussianBlur(skimage.data.astronaut(), (0, 0), 4)
    return photo if dtype == np.uint8 else photo.astype(np.uint16) * 257


def plain(colour):
    return np.full((SIZE, SIZE, 3), colour, np.float32)


@settings(deadline=None, max_examples=60)
@given(
    x=st.floats(-80, 380),
    y=st.floats(-80, 280),
    scale=st.floats(0.1, 4),
    angle=st.floats(-3, 3),
    deep=st.booleans(),
)
def test_paste_touches_nothing_outside_the_faces_own_rectangle(x, y, scale, angle, deep):
    before = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    before = before.astype(np.uint16) * 257 if deep else before
    aligned = align(before, face_at(x, y, scale, angle), SIZE)
    after = before.copy()
    paste_all(after, [(aligned, plain(1.0))])
    x0, y0, x1, y1 = face_rectangle(aligned, before.shape)
    outside = np.ones(before.shape[:2], bool)
    outside[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = False
    np.testing.assert_array_equal(after[outside], before[outside])


@pytest.mark.parametrize("scale", [0.8, 1.0, 2.5, 9.0])
def test_the_middle_of_a_face_is_replaced_and_its_border_kept(scale):
    photo = np.zeros((600, 600, 3), np.uint8)
    aligned = align(photo, face_at(300, 300, scale), SIZE)
    paste_all(photo, [(aligned, plain(1.0))])
    x0, y0, x1, y1 = face_rectangle(aligned, photo.shape)
    assert (photo[300, 300] == 255).all()
    assert photo[[y0, y1 - 1], x0:x1].max() <= 8
    assert photo[y0:y1, [x0, x1 - 1]].max() <= 8


def test_the_mask_falls_smoothly_to_the_border():
    photo = np.zeros((600, 600, 3), np.uint8)
    paste_all(photo, [(align(photo, face_at(300, 300, 8.0), SIZE), plain(1.0))])
    assert np.abs(np.diff(photo[300, :, 0].astype(int))).max() <= 12


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0])
def test_pasting_the_crop_itself_changes_a_smooth_photo_little(scale, dtype):
    before = smooth_photo(dtype)
    after = before.copy()
    aligned = align(before, face_at(224, 118, scale, 0.2), SIZE)
    paste_all(after, [(aligned, aligned.crop)])
    change = np.abs(after.astype(float) - before) / np.iinfo(dtype).max
    assert change.max() < 0.03
    assert change.mean() < 0.001


def test_a_tiny_face_gets_the_average_of_its_restored_pixels():
    photo = np.zeros((60, 60, 3), np.uint8)
    stripes = np.zeros((512, 512, 3), np.float32)
    stripes[:, ::2] = 1
    paste_all(photo, [(align(photo, face_at(30, 30, 40 / SIZE), 512), stripes)])
    assert np.abs(photo[25:35, 25:35].astype(int) - 128).max() < 13  # sampling would give 0 and 255


def overlapping(photo):
    places = [(150, 120, 1.6, 0.0), (200, 130, 1.5, 0.3), (170, 170, 1.0, -0.4), (400, 400, 2.0, 0.0)]
    faces = [align(photo, face_at(*place), SIZE) for place in places]
    colours = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]
    return [(face, plain(colour)) for face, colour in zip(faces, colours, strict=True)]


@given(order=st.permutations(range(4)))
@settings(deadline=None, max_examples=12)
def test_the_order_of_faces_does_not_matter(order):
    photo = skimage.data.astronaut()
    faces = overlapping(photo)
    one, other = photo.copy(), photo.copy()
    paste_all(one, faces)
    paste_all(other, [faces[i] for i in order])
    np.testing.assert_array_equal(one, other)


def test_each_neighbour_keeps_its_own_middle():
    photo = np.zeros((300, 300, 3), np.uint8)
    left, right = (align(photo, face_at(x, 150, 2.0), SIZE) for x in (125, 165))
    paste_all(photo, [(left, plain((1, 0, 0))), (right, plain((0, 1, 0)))])
    assert photo[150, 125, 0] > 250
    assert photo[150, 165, 1] > 250
    assert photo[150, 140, 0] > photo[150, 140, 1]
    assert photo[150, 150, 0] < photo[150, 150, 1]
    assert (photo[150, 125:166].sum(axis=-1) >= 253).all()  # shared out whole, nothing of the photo between


def test_no_faces_change_nothing():
    photo = skimage.data.astronaut()
    paste_all(photo, [])
    np.testing.assert_array_equal(photo, skimage.data.astronaut())


def test_photos_larger_than_a_cell_show_no_seams():
    photo = np.zeros((1300, 1300, 3), np.uint8)
    ramp = np.tile(np.linspace(0.2, 0.8, SIZE, dtype=np.float32)[:, None], (1, SIZE))
    paste_all(photo, [(align(photo, face_at(650, 650, 20), SIZE), np.dstack([ramp] * 3))])
    assert np.abs(np.diff(photo[300:1000, 300:1000].astype(int), axis=0)).max() <= 2
    assert np.abs(np.diff(photo[300:1000, 300:1000].astype(int), axis=1)).max() <= 2


def test_a_face_goes_to_the_same_place_in_an_enlarged_photo():
    photo = smooth_photo()
    aligned = align(photo, face_at(224, 118, 1.5), SIZE)
    larger = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_LANCZOS4)
    after = larger.copy()
    paste_all(after, [(scaled(aligned, 2), aligned.crop)])
    assert np.abs(after.astype(int) - larger).max() <= 6


def test_a_warped_map_lines_up_with_the_photo():
    photo = smooth_photo()
    aligned = align(photo, face_at(224, 118, 1.5, 0.1), SIZE)
    x0, y0, x1, y1 = 204, 98, 244, 138
    back = warp_to_photo(aligned.crop, aligned, (x0, y0, x1, y1))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, photo[y0:y1, x0:x1] / 255, atol=0.03)


def noisy_astronaut(dtype=np.uint8, sigma=10):
    clean = skimage.data.astronaut()
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    photo = np.clip(clean + noise, 0, 255) / 255
    return np.rint(photo * np.iinfo(dtype).max).astype(dtype)


def kappa_of(value):
    return np.full((SIZE, SIZE), value, np.float32)


def restore(photo, aligned, hand_back):
    """Return the photo with a blurred face pasted in."""
    after = photo.copy()
    paste_all(after, [(aligned, cv2.GaussianBlur(aligned.crop, (0, 0), 4))], [hand_back])
    return after


@pytest.mark.parametrize("sigma", [0, 0.04])
def test_kappa_0_is_the_classic_paste_within_rounding(sigma):
    photo = noisy_astronaut()
    aligned = align(photo, face_at(224, 118, 2.3, 0.2), SIZE)
    classic = restore(photo, aligned, None)
    assert (classic != photo).any()
    after = restore(photo, aligned, HandBack(kappa_of(0), sigma))
    np.testing.assert_allclose(after.astype(int), classic, atol=1)


@settings(deadline=None, max_examples=30)
@given(
    x=st.floats(-20, 530),
    y=st.floats(-20, 530),
    scale=st.floats(0.1, 4),
    angle=st.floats(-3, 3),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    sigma=st.sampled_from([0, 0.04]),
)
def test_a_face_left_to_the_photo_keeps_it_bit_for_bit(x, y, scale, angle, dtype, sigma):
    photo = noisy_astronaut(dtype)
    aligned = align(photo, face_at(x, y, scale, angle), SIZE)
    np.testing.assert_array_equal(restore(photo, aligned, HandBack(kappa_of(1), sigma)), photo)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_a_region_of_weight_0_keeps_its_pixels_beside_one_that_is_restored(scale, dtype):
    photo = noisy_astronaut(dtype)
    aligned = align(photo, face_at(224, 118, scale), SIZE)
    kappa = kappa_of(0.3)
    kappa[:, SIZE // 2 :] = 1
    after = restore(photo, aligned, HandBack(kappa, 0.04))
    border = round(224 + scale) + 1
    np.testing.assert_array_equal(after[:, border:], photo[:, border:])
    assert (after[:, :224] != photo[:, :224]).any()


def test_the_hand_back_does_not_depend_on_the_cells(monkeypatch):
    photo = noisy_astronaut()
    faces = [align(photo, face_at(*place), SIZE) for place in [(224, 118, 3.1, 0.2), (300, 200, 2.5, -0.3)]]
    kappa = np.tile(np.linspace(0, 1, SIZE, dtype=np.float32), (SIZE, 1))
    pasted = []
    for cell in (64, 100, 512):
        monkeypatch.setattr(runtime.finish.paste, "CELL", cell)
        after = photo.copy()
        paste_all(after, [(face, plain(0.5)) for face in faces], [HandBack(kappa, 0.04)] * 2)
        pasted.append(after.astype(int))
    assert np.abs(pasted[0] - pasted[2]).max() <= 1
    assert np.abs(pasted[1] - pasted[2]).max() <= 1


def test_a_face_with_a_hand_back_and_one_without_share_a_photo():
    photo = noisy_astronaut()
    faces = [align(photo, face_at(x, 118, 1.0), SIZE) for x in (100, 300)]
    after = photo.copy()
    paste_all(after, [(face, plain(1.0)) for face in faces], [HandBack(kappa_of(1), 0), None])
    np.testing.assert_array_equal(after[:, :200], photo[:, :200])
    assert (after[118, 300] == 255).all()


def test_the_photos_detail_returns_where_the_network_is_too_coarse_for_it():
    photo = skimage.data.astronaut()
    aligned = align(photo, face_at(224, 118, 3.0), SIZE)
    middle = np.s_[80:160, 180:270]
    lost, half = (
        np.abs(restore(photo, aligned, hand_back)[middle].astype(int) - photo[middle]).mean()
        for hand_back in (None, HandBack(kappa_of(0.5), face_noise(photo, aligned)))
    )
    assert half < 0.6 * lost


def test_black_and_white_hair_before_an_unchanged_face_keeps_every_pixel():
    photo = skimage.data.astronaut().copy()
    for x in range(150, 300, 12):
        cv2.line(photo, (x, 40), (x + 20, 200), (255,) * 3 if x % 24 else (0,) * 3, 2, cv2.LINE_AA)
    aligned = align(photo, face_at(224, 118, 2.0), SIZE)
    after = photo.copy()
    paste_all(after, [(aligned, aligned.crop)], [HandBack(kappa_of(0.0), 0.0, above=WHOLE)])
    np.testing.assert_array_equal(after, photo)


STEPS = preset("low-light").steps
REPAIRS = {"steps": STEPS, "multiscale": True, "grain": (0.03, 0.02, 0.01)}


@settings(max_examples=30)
@given(x=st.floats(-20, 530), y=st.floats(-20, 530), scale=st.floats(0.1, 6), angle=st.floats(-3, 3))
def test_repairs_touch_only_the_rectangle_and_no_pixel_left_to_the_photo(x, y, scale, angle):
    photo = noisy_astronaut()
    aligned = align(photo, face_at(x, y, scale, angle), SIZE)
    np.testing.assert_array_equal(restore(photo, aligned, HandBack(kappa_of(1), 0, **REPAIRS)), photo)
    after = restore(photo, aligned, HandBack(kappa_of(0.3), 0, **REPAIRS))
    x0, y0, x1, y1 = face_rectangle(aligned, photo.shape)
    outside = np.ones(photo.shape[:2], bool)
    outside[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = False
    np.testing.assert_array_equal(after[outside], photo[outside])


def test_repairs_do_not_depend_on_the_cells(monkeypatch):
    photo = noisy_astronaut()
    faces = [align(photo, face_at(*place), SIZE) for place in [(224, 118, 3.1, 0.2), (300, 200, 2.5, -0.3)]]
    pasted = []
    for cell in (100, 512):
        monkeypatch.setattr(runtime.finish.paste, "CELL", cell)
        after = photo.copy()
        hand_backs = [HandBack(kappa_of(0.4), 0.04, steps=STEPS, multiscale=True)] * 2
        paste_all(after, [(face, plain(0.5)) for face in faces], hand_backs)
        pasted.append(after.astype(int))
    assert np.abs(pasted[0] - pasted[1]).max() <= 1


def test_steps_are_taken_in_order_with_the_margin_they_ask_for():
    photo = noisy_astronaut()
    aligned = align(photo, face_at(200, 200, 2.0), SIZE)
    seen = []

    def finish(name):
        def step(composed, around):
            assert around.photo[around.inside].shape == composed.shape
            rows, columns = around.inside
            seen.append((name, rows.start, columns.start))
            return composed + np.float32(0.25) if name == "first" else composed / 2

        return step

    rows = (Step(lambda face: 5, finish("first")), Step(lambda face: 9, finish("second")))
    after = photo.copy()
    paste_all(after, [(aligned, plain(0.25))], [HandBack(kappa_of(0), 0, steps=rows)])
    assert {(name, y, x) for name, y, x in seen if min(y, x) > 0} >= {("first", 5, 5), ("second", 9, 9)}
    assert [name for name, *_ in seen[:2]] == ["first", "second"]
    x0, y0, x1, y1 = face_rectangle(aligned, photo.shape)
    middle = after[(y0 + y1) // 2 - 20 : (y0 + y1) // 2 + 20, (x0 + x1) // 2 - 20 : (x0 + x1) // 2 + 20]
    assert np.abs(middle / 255 - 0.25).max() < 0.01  # (0.25 + 0.25) / 2


def test_the_settings_switch_steps_on():
    assert preset("standard").steps == ()
    assert [step.finish for step in STEPS] == [without_ringing, without_fringes]
    assert preset("classic", clamp_ringing=True).steps == STEPS[:1]


def test_faces_are_pasted_into_another_canvas_with_what_the_photo_hands_back():
    photo = noisy_astronaut()
    aligned = align(photo, face_at(200, 200, 2.0), SIZE)
    in_photo, canvas = photo.copy(), np.full_like(photo, 90)
    paste_all(in_photo, [(aligned, plain(0.5))], [HandBack(kappa_of(0.5), 0)])
    paste_all(canvas, [(aligned, plain(0.5))], [HandBack(kappa_of(0.5), 0)], photo=photo)
    x0, y0, x1, y1 = face_rectangle(aligned, photo.shape)
    outside = np.ones(photo.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    assert (canvas[outside] == 90).all()
    middle = np.s_[(y0 + y1) // 2 - 10 : (y0 + y1) // 2 + 10, (x0 + x1) // 2 - 10 : (x0 + x1) // 2 + 10]
    assert np.abs(canvas[middle].astype(int) - in_photo[middle]).max() <= 1


@pytest.mark.parametrize("scale", [0.75, 2.0])
def test_what_a_face_gets_of_a_better_photo_does_not_depend_on_the_noise_that_its_crop_shows(scale):
    noisy, clean = noisy_astronaut(sigma=20), skimage.data.astronaut()
    face, back = face_at(200, 100, scale), HandBack(kappa_of(0.0), 0.0, above=WHOLE)
    of_better, alone = clean.copy(), clean.copy()
    paste_all(of_better, [(align(noisy, face, SIZE), plain(0.5))], [back], photo=noisy, from_canvas=True)
    paste_all(alone, [(align(clean, face, SIZE), plain(0.5))], [back])
    assert np.abs(of_better.astype(int) - alone).max() <= 2
