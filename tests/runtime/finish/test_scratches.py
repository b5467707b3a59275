from collections.abc import Callable

import cv2
import numpy as np
import pytest
import skimage.data

from runtime.faces.align import TEMPLATES, align
from runtime.faces.face import Face
from runtime.finish.scratches import mended_face

YELLOW, BLACK = (235, 225, 170), (25, 22, 20)


def portrait(side=512, dtype=np.uint8):
    """The astronaut's face, as large as a crop of the published template."""
    photo = skimage.data.astronaut()
    points = np.array([(208, 108), (247, 106), (228, 130), (212, 149), (246, 147)], np.float32)
    crop = align(photo, Face((180, 60, 270, 180), points, 1.0), side).crop
    return np.rint(crop * np.iinfo(dtype).max).astype(dtype)


def aligned(photo):
    side = len(photo)
    points = (TEMPLATES["published"] * side).astype(np.float32)
    return align(photo, Face((0, 0, side, side), points, 1.0), 256)


def scratched(photo, colour, ends, thickness=2.0):
    """The photo with a thin line drawn over it, and where the line lies."""
    side, top = len(photo), np.iinfo(photo.dtype).max
    mask = np.zeros(photo.shape[:2], np.uint8)
    start, end = ((round(x * side * 8), round(y * side * 8)) for x, y in ends)
    cv2.line(mask, start, end, 255, max(1, round(thickness * side / 512)), cv2.LINE_AA, 3)
    share = mask[..., None] / 255
    line = np.array(colour) / 255 * top
    return np.rint(photo * (1 - share) + line * share).astype(photo.dtype), mask > 127


def mended(photo):
    """The photo after its scratches were softened."""
    _, patch = mended_face(photo, aligned(photo))
    after = photo.copy()
    if patch:
        height, width = patch.pixels.shape[:2]
        after[patch.y : patch.y + height, patch.x : patch.x + width] = patch.pixels
    return after


LINES = [((0.42, 0.0), (0.55, 1.0)), ((0.25, 0.2), (0.75, 0.85)), ((0.58, 0.1), (0.5, 0.9))]


@pytest.mark.parametrize("ends", LINES)
@pytest.mark.parametrize("colour", [YELLOW, BLACK])
def test_a_drawn_scratch_is_not_a_hard_patch_after(colour, ends):
    clean = portrait()
    photo, line = scratched(clean, colour, ends)
    line[:210], line[400:] = False, False  # across the face
    after = mended(photo)
    before, left = (np.abs(p.astype(int) - clean)[line].mean() for p in (photo, after))
    assert left < 0.45 * before


def steepest(picture):
    """The steepest step from a pixel to the next in rows across the cheeks."""
    return np.abs(np.diff(picture[250:330].astype(int), axis=1)).max(axis=2)


def test_what_remains_is_gentle():
    clean = portrait()
    photo, line = scratched(clean, YELLOW, LINES[0])
    near = cv2.dilate(line.astype(np.uint8), np.ones((9, 9)))[250:330, 1:] > 0
    drawn, left, own = (np.quantile(steepest(p)[near], 0.95) for p in (photo, mended(photo), clean))
    assert drawn > 30
    assert left < own + 0.2 * (drawn - own)


@pytest.mark.parametrize("side", [256, 1400])
def test_scratches_are_found_whatever_the_size_of_the_face(side):
    clean = portrait(side)
    photo, line = scratched(clean, YELLOW, LINES[1])
    line[: side * 2 // 5], line[-side // 4 :] = False, False
    before, left = (np.abs(p.astype(int) - clean)[line].mean() for p in (photo, mended(photo)))
    assert left < 0.45 * before


def test_a_band_as_thick_as_a_finger_on_a_small_face_is_none():
    clean = portrait(160)
    line, band = (scratched(clean, BLACK, LINES[1], thickness=pixels * 512 / 160)[0] for pixels in (2, 4))
    assert not np.array_equal(mended(line), line)
    np.testing.assert_array_equal(mended(band), band)


def test_deep_photos_are_mended_alike():
    deep, _ = scratched(portrait(dtype=np.uint16), YELLOW, LINES[0])
    shallow = (deep // 257).astype(np.uint8)
    assert mended(deep).dtype == np.uint16
    assert np.abs(mended(deep) // 257 - mended(shallow).astype(int)).mean() < 1


def test_away_from_a_scratch_nothing_changes():
    photo, line = scratched(portrait(), YELLOW, LINES[0])
    after = mended(photo)
    far = cv2.dilate(line.astype(np.uint8), np.ones((41, 41))) == 0
    np.testing.assert_array_equal(after[far], photo[far])
    assert (after != photo).any()


def grainy(photo):
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, photo.shape[:2]), (0, 0), 1)
    return np.clip(photo + grain[..., None] * 8 / grain.std(), 0, 255).astype(np.uint8)


def with_glasses(photo):
    for x in (0.385, 0.56):
        middle, axes = (round(x * 512), round(0.42 * 512)), (44, 34)
        cv2.ellipse(photo, middle, axes, 0, 0, 360, (20, 20, 20), 3, cv2.LINE_AA)
    cv2.line(photo, (241, 212), (243, 212), (20, 20, 20), 3, cv2.LINE_AA)
    return photo


def with_line_outside_the_face(photo):
    cv2.line(photo, (30, 0), (30, 511), (250, 250, 250), 2)
    return photo


def before_a_dark_wall(photo):
    """The cheek ends in a lit rim, and dark begins behind it."""
    lit = photo.astype(int)
    lit[:, 192:200] += 35
    lit[:, :192] = 12
    return cv2.GaussianBlur(np.clip(lit, 0, 255).astype(np.uint8), (0, 0), 0.8)


def in_light(photo, gain):
    return np.rint(photo * np.array(gain) * 257).astype(np.uint16)


MAGENTA, DUSK = (1, 0.12, 0.9), (0.25, 0.3, 0.5)


@pytest.mark.parametrize("light", [(1, 1, 1), MAGENTA, DUSK])
@pytest.mark.parametrize(
    "make", [np.copy, grainy, with_glasses, with_line_outside_the_face, before_a_dark_wall]
)
def test_a_portrait_without_scratches_is_left_alone(make: Callable[[np.ndarray], np.ndarray], light):
    photo = in_light(make(portrait()), light)
    face = aligned(photo)
    assert mended_face(photo, face) == (face, None)


@pytest.mark.parametrize("light", [MAGENTA, DUSK])
def test_a_scratch_is_found_in_any_light(light):
    clean = in_light(portrait(), light)
    photo, line = scratched(portrait(), YELLOW, LINES[0])
    photo = in_light(photo, light)
    line[:210], line[400:] = False, False
    before, left = (np.abs(p.astype(int) - clean)[line].mean() for p in (photo, mended(photo)))
    assert left < 0.45 * before


def test_the_network_does_not_see_the_scratch():
    clean = portrait()
    photo, _ = scratched(clean, YELLOW, LINES[0])
    face, patch = mended_face(photo, aligned(photo))
    assert patch is not None
    wrong = [np.abs(crop - aligned(clean).crop).mean() for crop in (face.crop, aligned(photo).crop)]
    assert wrong[0] < 0.7 * wrong[1]  # the hair keeps its part of it


def test_a_face_at_the_photos_edge_and_a_plain_photo_are_no_trouble():
    photo, _ = scratched(portrait(), YELLOW, LINES[0])
    cut = np.ascontiguousarray(photo[100:, 150:])
    points = (TEMPLATES["published"] * 512 - (150, 100)).astype(np.float32)
    face = align(cut, Face((0, 0, 300, 300), points, 1.0), 256)
    _, patch = mended_face(cut, face)
    assert patch is not None
    plain = np.full((60, 60, 3), 128, np.uint8)
    assert mended_face(plain, aligned(plain))[1] is None
