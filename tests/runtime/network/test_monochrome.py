"""A monochrome photo stays monochrome, and one in colour is never taken for it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import cycle

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from runtime import Restorer, RestoreSettings, preset
from runtime.faces.align import align
from runtime.faces.detect import open_detector
from runtime.faces.face import Face
from runtime.faces.regions import region_masks
from runtime.finish.scratches import mended_face
from runtime.network.monochrome import GREY, Toning, find_tonings, in_grey, is_grey, put_back, toning_of
from runtime.settings.presets import PRESETS

Grey = NDArray[np.float64]
"""H×W in [0, 255]."""
Curve = Callable[[Grey], list[Grey]]

TONED: dict[str, Curve] = {
    "sepia": lambda g: [g + 18, 0.86 * g + 10, 0.67 * g + 4],
    "selenium": lambda g: [0.95 * g, 0.97 * g + 3, g + 8],
    "cyanotype": lambda g: [
        237 * (g / 255) ** 1.6,
        230 * (g / 255) ** 1.1 + 20,
        158 * (g / 255) ** 0.8 + 76,
    ],
}


def steep(g: Grey) -> list[Grey]:
    """A cyanotype with strong colours in its shadows."""
    return [248 * (g / 255) ** 1.9, 20 + 235 * (g / 255) ** 1.15, 60 + 195 * (g / 255) ** 0.75]


def bent(g: Grey) -> list[Grey]:
    """A sepia whose black is steep in one channel and flat in another."""
    return [5 + 250 * (g / 255) ** 0.8, 4 + 0.9 * g, 191 * (g / 255) ** 1.25]


DIM = 0.9
"""Factor on the greys of photos that are toned: where a channel clips, those of the others are unknown."""


@pytest.fixture(scope="module")
def colour(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(portrait[:256, 96:352])


@pytest.fixture(scope="module")
def face(colour: NDArray[np.uint8]) -> Face:
    (found,) = open_detector(None).detect(colour)
    return found


@pytest.fixture(scope="module")
def grey(colour: NDArray[np.uint8]) -> Grey:
    noise = np.random.default_rng(0).normal(0, 6, colour.shape[:2])
    return np.rint(np.clip(colour @ np.array([0.299, 0.587, 0.114]) + noise, 0, 255))


def as_photo(picture: list[Grey] | NDArray[np.floating]) -> NDArray[np.uint8]:
    channels = np.dstack(picture) if isinstance(picture, list) else picture
    return np.rint(np.clip(channels, 0, 255)).astype(np.uint8)


def toning(photo: NDArray[np.uint8], face: Face) -> Toning | None:
    return find_tonings(photo, {0: align(photo, face, 256)}).get(0)


def through_jpeg(photo: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, file = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def off_curve(photo: NDArray[np.generic], curve: Curve, top: float = 255) -> float:
    """Return how far the farthest pixel is from the colours of a curve, in levels of 255."""
    colours = np.clip(np.stack(curve(np.linspace(0, 255, 4081)), axis=1), 0, 255)
    distances, _ = cKDTree(colours).query(photo.reshape(-1, 3) * (255 / top), p=np.inf)
    return float(distances.max())


def bar_over_the_eyes(face: Face, margin: int = 0) -> tuple[slice, slice]:
    (left, y0), (right, y1) = np.rint(face.landmarks[:2]).astype(int).tolist()
    x, y = 14 - margin, 9 - margin
    return np.s_[min(y0, y1) - y : max(y0, y1) + y + 1, left - x : right + x + 1]


ALL = [preset(name, budget=600.0) for name in PRESETS]
MORE = [
    preset("standard", budget=600.0, upscale=2),
    preset("low-light", budget=600.0, upscale=4),
    preset("film-scan", budget=600.0, clamp_ringing=True, multiscale_blend=True, degradation_scale=0.6),
    preset("classic", budget=600.0, desaturate_fringes=True, multiscale_blend=True),
]


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [*zip([*ALL, *MORE], cycle([np.uint8, np.uint16]), strict=False)],
    ids=[*PRESETS, *range(len(MORE))],
)
def test_grey_photos_stay_grey_to_the_last_bit(
    restorer: Restorer, grey: Grey, face: Face, settings: RestoreSettings, dtype: type
) -> None:
    photo = as_photo([grey] * 3).astype(dtype) * (1 if dtype is np.uint8 else 257)
    result = restorer.restore(photo, settings, found=(face,))
    assert is_grey(result.photo)
    assert not np.array_equal(result.photo[:: settings.upscale, :: settings.upscale], photo)


TONED_CASES = [("standard", "sepia"), ("standard", "selenium"), *((name, "cyanotype") for name in PRESETS)]


@pytest.mark.parametrize(("name", "tone"), TONED_CASES)
def test_toned_photos_stay_within_a_level_of_their_curve(
    restorer: Restorer, grey: Grey, face: Face, name: str, tone: str
) -> None:
    photo = as_photo(TONED[tone](DIM * grey))
    result = restorer.restore(photo, preset(name, budget=600.0), found=(face,))
    assert not np.array_equal(result.photo, photo)
    assert off_curve(result.photo, TONED[tone]) <= 1


@pytest.mark.parametrize("name", TONED)
def test_scratches_of_a_toned_face_are_filled_in_its_tone(grey: Grey, face: Face, name: str) -> None:
    clean, lines = as_photo(TONED[name](0.9 * grey)), np.zeros(grey.shape, np.uint8)
    for x in (112, 128):
        cv2.line(lines, (x, 0), (x + 8, 255), 255, 1, cv2.LINE_AA)
    share = lines[..., None] / 255
    photo = as_photo(clean * (1 - share) + np.array((252, 250, 255)) * share)
    cut = align(photo, face, 256)
    tonings = find_tonings(photo, {0: cut})
    given = in_grey(photo, {0: cut}, tonings)
    _, patch = mended_face(given, align(given, face, 256))
    assert patch is not None
    height, width = patch.pixels.shape[:2]
    mended = given.copy()
    mended[patch.y : patch.y + height, patch.x : patch.x + width] = patch.pixels
    restored = put_back(
        mended, lambda: (given, photo.copy()), {0: cut}, tonings, {0: partial(patch.changed, given)}
    )
    filled = (np.abs(restored.astype(int) - photo).max(axis=2) > 20) & (lines > 0)
    assert filled[100:150].sum() > 100
    assert off_curve(restored[filled], TONED[name]) <= 1


def test_where_toned_faces_overlap_the_change_is_made_once(grey: Grey, face: Face) -> None:
    photo = as_photo(TONED["sepia"](DIM * grey))
    beside = replace(face, landmarks=face.landmarks + np.float32(24))
    cuts = {0: align(photo, face, 256), 1: align(photo, beside, 256)}
    tonings = dict.fromkeys(cuts, find_tonings(photo, {0: cuts[0]})[0])
    given = in_grey(photo, cuts, tonings)
    restored = np.where(given < 240, given + 12, given).astype(np.uint8)
    once = put_back(restored.copy(), lambda: (given, photo.copy()), {0: cuts[0]}, tonings)
    both = put_back(restored.copy(), lambda: (given, photo.copy()), cuts, tonings)
    shared = np.s_[100:156, 100:156]
    assert not np.array_equal(once[shared], photo[shared])
    assert np.array_equal(both[shared], once[shared])


def test_toned_photos_of_16_bits_stay_on_their_curve(restorer: Restorer, grey: Grey, face: Face) -> None:
    photo = np.rint(257 * np.clip(np.dstack(TONED["sepia"](DIM * grey)), 0, 255)).astype(np.uint16)
    result = restorer.restore(photo, preset("standard", budget=600.0), found=(face,))
    assert result.photo.dtype == np.uint16
    assert not np.array_equal(result.photo, photo)
    assert off_curve(result.photo, TONED["sepia"], 65535) <= 1


@pytest.mark.parametrize("name", TONED)
def test_toned_photos_are_known_through_fading_a_little_noise_and_jpeg(
    grey: Grey, face: Face, name: str
) -> None:
    photo = as_photo(TONED[name](grey))
    noise = np.random.default_rng(1).normal(0, 4, photo.shape)
    assert toning(photo, face)
    assert toning(as_photo(140 + 0.3 * photo), face)
    assert toning(as_photo(photo + noise), face)
    for quality in (75, 60, 40):
        assert toning(through_jpeg(photo, quality), face)


def test_colour_is_never_taken_for_monochrome(colour: NDArray[np.uint8], grey: Grey, face: Face) -> None:
    plain = np.dstack([grey] * 3)
    skin = 1 - sum(region_masks(face.landmarks, 256)[region] for region in ("other", "hair", "ear"))
    others = {
        "as it is": colour,
        "pale": as_photo(plain + 0.5 * (colour - plain)),
        "all but the face is grey": as_photo(plain + skin[..., None] * (colour - plain)),
        "blurred": cv2.GaussianBlur(colour, (0, 0), 4),
        "blocky": through_jpeg(colour, 20),
        "faded": as_photo(150 + 0.25 * colour),
        "dark": as_photo(0.12 * colour),
        "red light": as_photo(colour * np.array([1, 0.12, 0.12])),
        "warm light": as_photo(colour * np.array([1, 0.7, 0.35])),
        "dusk": as_photo(colour * np.array([0.4, 0.5, 1])),
        "blue light": as_photo(colour * np.array([0.05, 0.08, 1])),
        "sodium light": as_photo(colour * np.array([1, 0.6, 0.1])),
    }
    others |= {f"{name}, as JPEG": through_jpeg(photo, 40) for name, photo in others.items()}
    assert [name for name, photo in others.items() if toning(photo, face)] == []


def test_a_coloured_stamp_beside_a_grey_face_keeps_its_colour(
    restorer: Restorer, grey: Grey, face: Face
) -> None:
    photo = as_photo([grey] * 3)
    photo[225:245, 170:250] = (230, 60, 20)
    assert toning(photo, face)
    result = restorer.restore(photo, preset("standard", budget=600.0), found=(face,))
    was_grey = np.ptp(photo, axis=2) == 0
    assert (np.ptp(result.photo, axis=2)[was_grey] == 0).all()
    assert np.ptp(result.photo[227:243, 172:248], axis=2).min() > 100


def test_a_region_of_weight_0_keeps_its_pixels_in_a_toned_photo(
    restorer: Restorer, grey: Grey, face: Face
) -> None:
    noise = np.random.default_rng(1).normal(0, 2, (*grey.shape, 3))
    photo = as_photo(np.dstack(TONED["sepia"](grey)) + noise)
    assert toning(photo, face)
    result = restorer.restore(
        photo, RestoreSettings(face_mask_weights={"face": 0}, budget=600), found=(face,)
    )
    assert np.array_equal(result.photo, photo)


@pytest.mark.parametrize(
    ("settings", "name"), [*zip(ALL, cycle(["grey", *TONED]), strict=False)], ids=PRESETS
)
def test_a_covered_part_of_a_monochrome_photo_keeps_its_pixels(
    restorer: Restorer, grey: Grey, face: Face, name: str, settings: RestoreSettings
) -> None:
    covered = grey.copy()
    covered[bar_over_the_eyes(face)] = 8
    bar = bar_over_the_eyes(face, 4)  # four pixels are one of the tiny package's crop
    photo = as_photo([covered] * 3 if name == "grey" else TONED[name](covered))
    assert toning(photo, face)
    result = restorer.restore(photo, settings, found=(face,))
    assert "missing-information" in [warning.code for warning in result.faces[0].warnings]
    assert np.array_equal(result.photo[bar], photo[bar])
    assert settings.grain or not np.array_equal(result.photo, photo)
    assert name != "grey" or is_grey(result.photo)


def test_a_coloured_bar_over_the_eyes_of_a_grey_photo_keeps_its_pixels(
    restorer: Restorer, grey: Grey, face: Face
) -> None:
    photo = as_photo([grey] * 3)
    photo[bar_over_the_eyes(face)] = (200, 30, 60)
    bar = bar_over_the_eyes(face, 4)
    result = restorer.restore(photo, preset("standard", budget=600.0), found=(face,))
    assert np.array_equal(result.photo[bar], photo[bar])
    assert not np.array_equal(result.photo, photo)


def test_a_covered_part_of_a_monochrome_photo_is_filled_in_its_colours(
    restorer: Restorer, grey: Grey, face: Face
) -> None:
    covered = grey.copy()
    bar = bar_over_the_eyes(face)
    covered[bar] = 8
    settings = preset("standard", budget=600.0, fill_missing=True)
    plain = restorer.restore(as_photo([covered] * 3), settings, found=(face,)).photo
    assert is_grey(plain)
    assert plain[bar].mean() > 30
    sepia = restorer.restore(as_photo(TONED["sepia"](covered)), settings, found=(face,)).photo
    assert sepia[bar].mean() > 30
    assert off_curve(sepia, TONED["sepia"]) <= 1.1


def test_a_grey_portrait_beside_one_in_colour_stays_grey(
    restorer: Restorer, colour: NDArray[np.uint8], grey: Grey, face: Face
) -> None:
    page = np.concatenate(
        [as_photo([grey] * 3), np.full((256, 100, 3), (240, 230, 200), np.uint8), colour], 1
    )
    second = Face(
        (face.box[0] + 356, face.box[1], face.box[2] + 356, face.box[3]),
        face.landmarks + np.float32([356, 0]),
        1,
    )
    result = restorer.restore(page, preset("standard", budget=600.0), found=(face, second))
    assert is_grey(np.asarray(result.photo[:, :256]))
    assert np.ptp(result.photo[60:200, 420:560].astype(int), axis=2).mean() > 10
    assert np.array_equal(result.photo[:, 256:300], page[:, 256:300])


def test_the_curve_of_a_grey_picture_is_grey(grey: Grey, face: Face) -> None:
    assert toning(as_photo([grey] * 3), face) is GREY


ENDS: dict[str, Callable[[Grey], Grey]] = {
    "clipped": lambda g: 1.6 * cv2.GaussianBlur(g, (0, 0), 1.5) - 77,
    "noisy": lambda g: cv2.GaussianBlur(g, (0, 0), 2) + np.random.default_rng(0).normal(0, 15, g.shape),
    "blurred": lambda g: cv2.GaussianBlur(g, (0, 0), 4),
    "dark": lambda g: 0.7 * g - 15,
}


@pytest.mark.parametrize("greys", ENDS)
@pytest.mark.parametrize("tone", [*TONED.values(), steep, bent], ids=[*TONED, "steep", "bent"])
def test_the_darkest_and_lightest_colours_lie_on_the_curve(
    portrait: NDArray[np.uint8], tone: Curve, greys: str
) -> None:
    grey = np.clip(ENDS[greys](portrait.mean(axis=2)), 0, 255)
    found = toning_of(np.asarray(as_photo(tone(grey)) / 255, np.float32))
    all_greys = np.linspace(0, 1, 2041, dtype=np.float32)[None]
    assert off_curve(as_photo(255 * found.coloured(all_greys)), tone) <= 1


def test_greys_that_no_pixel_has_lie_on_the_curve() -> None:
    dark = np.random.default_rng(0).uniform(10, 190, (128, 128))
    dark[::32, ::32] = np.linspace(190, 250, 16).reshape(4, 4)
    found = toning_of(np.asarray(as_photo(steep(dark)) / 255, np.float32))
    greys = np.linspace(12, 240, 100)[None]
    light = found.coloured(found.grey(np.asarray(np.dstack(steep(greys)) / 255, np.float32))[..., 0])
    assert off_curve(light * 255, steep) < 1
