import colorsys

import numpy as np
import pytest

from runtime.finish.fringes import desaturate_fringes, fringe_map, fringe_reach

REACH = 8
BAND = np.s_[:, 78:82]


def scene(hue=290, band=BAND, dtype=np.uint8):
    """Bright beside dark, and a coloured band at the edge between them."""
    picture = np.full((120, 160, 3), 0.08)
    picture[:, :80] = 0.9
    picture[band] = colorsys.hsv_to_rgb(hue / 360, 0.7, 0.6)
    return np.rint(picture * np.iinfo(dtype).max).astype(dtype)


def saturation(picture):
    return picture.max(axis=-1) - picture.min(axis=-1)


def desaturated(photo):
    picture = photo.astype(np.float32) / np.float32(np.iinfo(photo.dtype).max)
    return picture, desaturate_fringes(picture, photo, np.s_[0:120, 0:160], REACH)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("hue", [265, 290, 310])
def test_a_fringe_loses_most_of_its_colour(hue, dtype):
    before, after = desaturated(scene(hue, dtype=dtype))
    assert saturation(after[BAND]).mean() < 0.4 * saturation(before[BAND]).mean()


def test_a_fringe_keeps_its_brightness():
    before, after = desaturated(scene())
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(after @ luma, before @ luma, atol=1e-3)


def test_a_fringe_loses_saturation_gradually():
    share = fringe_map(scene(), REACH)
    assert share.max() > 0.5
    assert np.abs(np.diff(share, axis=1)).max() < 0.35 * share.max()


def test_over_hues_the_loss_has_no_step():
    kept = []
    for hue in range(200, 361, 2):
        before, after = desaturated(scene(hue))
        kept.append(saturation(after[60, 80]) / saturation(before[60, 80]))
    assert min(kept) < 0.4
    assert np.abs(np.diff(kept)).max() < 0.12
    assert kept[0] == kept[-1] == 1


@pytest.mark.parametrize("hue", [0, 30, 60, 120, 200, 345])
def test_other_hues_stay(hue):
    before, after = desaturated(scene(hue))
    np.testing.assert_array_equal(after, before)


def test_a_purple_garment_keeps_its_colour():
    before, after = desaturated(scene(band=np.s_[:, 80:]))
    changed = saturation(before) - saturation(after)
    assert changed.max() < 0.05


def test_purple_away_from_edges_stays():
    photo = np.full((120, 160, 3), 110, np.uint8)
    photo[BAND] = (140, 90, 150)
    before, after = desaturated(photo)
    assert np.abs(after - before).max() < 0.02


def test_edges_that_are_hardly_purple_stay():
    photo = scene()
    photo[BAND] = (193, 175, 196)
    before, after = desaturated(photo)
    np.testing.assert_array_equal(after, before)


def test_a_grey_picture_is_returned_as_it_is():
    photo = scene()
    photo[:] = photo[..., :1]
    before, after = desaturated(photo)
    assert after is before


def test_a_margin_makes_parts_fit_together():
    photo = scene()
    _, whole = desaturated(photo)
    part = photo[:, 40:120].astype(np.float32) / 255
    piece = desaturate_fringes(part, photo[:, 10:150], np.s_[:, 30:110], REACH)
    np.testing.assert_allclose(piece, whole[:, 40:120], atol=1e-5)


def test_the_width_of_a_fringe_follows_the_face_up_to_a_limit():
    assert [fringe_reach(width) for width in (20, 512, 5000)] == [2, 8, 16]


DUSK = np.array([0.55, 0.5, 1.0])
LIGHTS = [(DUSK, 0.0), (np.array([0.2, 1.0, 0.12]), 0.0), (DUSK * 0.3, 0.2), (np.full(3, 0.25), 0.6)]


def in_light(picture, light, haze):
    return np.rint((picture / 65535 * light + haze) * 65535).astype(np.uint16)


@pytest.mark.parametrize(("light", "haze"), LIGHTS)
def test_fringes_are_the_same_in_any_light(light, haze):
    photo = in_light(scene(dtype=np.uint16), light, haze)
    own = photo.astype(np.float32) / np.float32(65535)
    after = desaturate_fringes(own, photo, np.s_[0:120, 0:160], REACH, 1 / light, -haze / light)
    _, usual = desaturated(scene(dtype=np.uint16))
    np.testing.assert_allclose((after - haze) / light, usual, atol=2e-3)


def test_what_is_purple_only_by_its_light_keeps_its_colour():
    line = np.full((120, 160, 3), 5000, np.uint16)
    line[BAND] = 60000
    photo = in_light(line, DUSK, 0)
    own = photo.astype(np.float32) / np.float32(65535)
    assert np.abs(desaturate_fringes(own, photo, np.s_[0:120, 0:160], REACH) - own).max() > 0.03
    after = desaturate_fringes(own, photo, np.s_[0:120, 0:160], REACH, 1 / DUSK)
    assert np.abs(after - own).max() < 0.005


ESTIMATES = [  # gains and offsets that skin of another tone than the median gives a photo in neutral light
    (np.array([1.0, 1.32, 1.52]), np.array([0.03, -0.12, -0.08])),
    (np.array([1.06, 0.96, 1.12]), np.array([0.0, -0.02, 0.03])),
]


@pytest.mark.parametrize("light", [np.full(3, 0.12), np.array([1.0, 0.12, 0.9]), np.array([0.2, 1.0, 0.12])])
@pytest.mark.parametrize(("gain", "offset"), ESTIMATES)
def test_neutral_edges_stay_where_studio_light_is_estimated_from_the_skin(gain, offset, light):
    grey = np.full((120, 160, 3), 0.08)
    grey[:, :80] = 0.5
    grey[40:80, 76:84] = 0.8  # as narrow as an eye white
    grey[:, 78:82] += np.linspace(0.2, 0, 4)[:, None]
    photo = np.rint(grey * light * 65535).astype(np.uint16)
    own = photo.astype(np.float32) / np.float32(65535)
    after = desaturate_fringes(own, photo, np.s_[0:120, 0:160], REACH, gain / light, offset)
    assert np.abs((after - own) / light).max() < 0.01
