"""A face in strange light is shown to the network in ordinary light, and comes back in its own."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import Restorer, preset
from runtime.faces.align import AlignedFace, align
from runtime.faces.detect import open_detector
from runtime.faces.face import Face
from runtime.faces.noise import face_noise
from runtime.faces.tone import LEVEL, RANGE, UNCHANGED, Tone, tone_of
from runtime.finish.rounding import keep_rounding, rounding_of
from runtime.network.loop import restore_crops
from runtime.network.view import view_of

Picture = NDArray[np.float64]

STAGE = [(1.0, 0.12, 0.12), (0.12, 0.15, 1.0), (0.4, 0.5, 1.0), (0.12, 0.12, 0.12), (0.3, 1.0, 0.2)]
FADED = [(0.25, 0.0), (0.25, 0.375), (0.25, 0.7)]
"""Contrast, and what black becomes."""


@pytest.fixture(scope="module")
def scene(portrait: NDArray[np.uint8]) -> tuple[Picture, Face]:
    """A portrait of 256 pixels a side in [0, 1], and its face."""
    photo = portrait[:256, 96:352]
    (face,) = open_detector(None).detect(photo)
    return photo / 255, face


def lit(photo: Picture, gain: tuple[float, ...], contrast: float = 1.0, black: float = 0.0) -> Picture:
    return photo * np.array(gain) * contrast + black


def deep(photo: Picture) -> NDArray[np.uint16]:
    return np.rint(np.clip(photo, 0, 1) * 65535).astype(np.uint16)


def aligned(photo: Picture, face: Face) -> AlignedFace:
    return align(deep(photo), face, 128)


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (0.9, 0.9, 0.9), (1.0, 0.95, 0.9), (0.95, 1.0, 1.0)])
def test_ordinary_light_is_left_as_it_is(scene: tuple[Picture, Face], light: tuple[float, ...]) -> None:
    photo, face = scene
    tone = tone_of(aligned(lit(photo, light), face))
    crop = aligned(photo, face).crop
    assert tone is UNCHANGED
    assert np.array_equal(tone.original(tone.standard(crop), crop), crop)


@pytest.mark.parametrize("light", STAGE)
@pytest.mark.parametrize("faded", [(1.0, 0.0), *FADED])
def test_in_any_light_the_network_sees_the_same_face(
    scene: tuple[Picture, Face], light: tuple[float, ...], faded: tuple[float, float]
) -> None:
    photo, face = scene
    crop = aligned(lit(photo, light, *faded), face)
    reference = aligned(lit(photo, (0.2, 0.2, 0.2)), face)
    shown = tone_of(crop).standard(crop.crop)
    assert np.abs(shown - tone_of(reference).standard(reference.crop)).mean() < 1e-3


def test_a_face_in_strange_light_gets_the_median_portraits_level_and_range(
    scene: tuple[Picture, Face],
) -> None:
    photo, face = scene
    crop = aligned(lit(photo, (1.0, 0.12, 0.12)), face)
    shown = replace(crop, crop=tone_of(crop).standard(crop.crop))
    assert tone_of(shown) is UNCHANGED
    middle = shown.crop[45:90, 40:88].reshape(-1, 3)
    assert np.median(middle, axis=0) == pytest.approx(LEVEL, abs=0.1)
    assert np.ptp(middle, axis=0).min() > 0.3 * RANGE.min()


def test_the_way_back_is_exact_also_for_what_leaves_the_range() -> None:
    crop = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    tone = Tone(np.array([0.6, 3.0, 12.0]), np.array([0.3, -1.0, -4.0]))
    shown = tone.standard(crop)
    assert (shown == 1).any()
    assert (shown == 0).any()
    assert tone.original(shown, crop) == pytest.approx(crop, abs=1e-5)
    changed = np.clip(shown + 0.1, 0, 1)
    assert tone.original(changed, crop) == pytest.approx(
        np.clip(crop + (changed - shown) / tone.gain, 0, 1), abs=1e-5
    )


def test_noise_that_leaves_the_range_does_not_come_back(scene: tuple[Picture, Face]) -> None:
    photo, face = scene
    dark = aligned(lit(photo, (0.12, 0.12, 0.12)), face)
    noise = np.random.default_rng(0).normal(0, 8 / 255, dark.crop.shape).astype(np.float32)
    noisy = replace(dark, crop=np.clip(dark.crop + noise, 0, 1))
    view = view_of(noisy, preset("standard"), grey=False, cleaned=dark.crop)
    assert (view.tone.standard(noisy.crop) == 1).mean() > 0.05
    assert view.restored(view.shown) == pytest.approx(dark.crop, abs=1e-5)


def test_the_correction_sets_in_without_a_jump(scene: tuple[Picture, Face]) -> None:
    photo, face = scene
    dims = np.geomspace(1.0, 0.1, 120)
    gains = np.array([tone_of(aligned(lit(photo, (dim,) * 3), face)).gain for dim in dims])
    assert (gains[0] == 1).all()
    assert gains[-1].min() > 5
    assert (gains[1:] / gains[:-1]).max() < 1.35
    assert (gains[1:] / gains[:-1]).min() > 0.97


def test_a_blown_out_face_is_left_as_it_is(scene: tuple[Picture, Face]) -> None:
    photo, face = scene
    assert tone_of(aligned(photo * 4, face)) is UNCHANGED


def test_a_grey_face_gets_the_same_gain_in_all_channels(scene: tuple[Picture, Face]) -> None:
    photo, face = scene
    grey = np.repeat(photo.mean(axis=2, keepdims=True), 3, axis=2)
    assert tone_of(aligned(grey, face), grey=True) is UNCHANGED
    faint = tone_of(aligned(0.4 + 0.15 * grey, face), grey=True)
    assert np.ptp(faint.gain) < 1e-6
    assert faint.gain.min() > 3


def test_noise_is_measured_per_channel_less_the_texture_at_that_gain(
    scene: tuple[Picture, Face],
) -> None:
    photo, face = scene
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(photo, (0, 0), 2) * 0.8 + 0.1
    noisy = smooth + rng.normal(0, 1, photo.shape) * np.array([12, 6, 3]) / 255
    crop = aligned(noisy, face)
    assert 255 * face_noise(deep(noisy), crop) == pytest.approx(np.array([12, 6, 3]), rel=0.3)
    faint = lit(noisy, (1.0, 0.1, 0.1))
    measured = face_noise(deep(faint), aligned(faint, face), np.array([1.0, 10.0, 10.0]))
    assert 255 * measured == pytest.approx(np.array([12, 0.6, 0.3]), rel=0.3)


@pytest.fixture(scope="module")
def bundled() -> Iterator[Restorer]:
    with Restorer.open(threads=1) as opened:
        yield opened


def test_classic_is_the_published_pass_over_the_crop_in_any_light(
    restorer: Restorer, scene: tuple[Picture, Face]
) -> None:
    photo, face = scene
    settings = preset("classic", budget=600)
    for light in ((1.0, 0.12, 0.12), (0.12, 0.12, 0.12)):
        result = restorer.restore(deep(lit(photo, light)), settings, found=(face,))
        of_face = result.faces[0]
        assert of_face.aligned is not None
        assert of_face.loop is not None
        (published,) = restore_crops(
            restorer.backend, of_face.aligned.crop[None], np.ones((1, 64, 64), np.float32), settings
        )
        assert np.abs(of_face.loop.restored - published.restored).max() < 1e-5


def relative_error(restored: NDArray[np.uint16], truth: Picture, gain: Picture) -> float:
    """Return the mean squared error, as it would be in neutral light at full contrast."""
    inside = np.s_[40:216, 40:216]
    return float((((restored / 65535 - truth) / gain)[inside] ** 2).mean())


@pytest.mark.parametrize("name", ["standard", "film-scan"])
def test_a_face_in_strange_light_is_restored_as_well_as_in_neutral_light(
    bundled: Restorer, scene: tuple[Picture, Face], name: str
) -> None:
    photo, face = scene
    noise = np.random.default_rng(0).normal(0, 8 / 255, photo.shape)
    noisy = np.clip(photo * 0.8 + 0.1 + noise, 0, 1)
    errors = []
    for light, (contrast, black) in [((1.0, 1.0, 1.0), (1.0, 0.0)), (STAGE[0], FADED[1]), (STAGE[3], (1, 0))]:
        given, truth = (lit(x, light, contrast, black) for x in (noisy, photo * 0.8 + 0.1))
        result = bundled.restore(deep(given), preset(name, budget=600), found=(face,))
        errors.append(relative_error(np.asarray(result.photo), truth, np.array(light) * contrast))
    neutral, *others = errors
    assert max(others) < neutral * 10**0.2


@pytest.mark.parametrize(
    ("name", "light"), [("standard", STAGE[0]), ("low-light", STAGE[3]), ("film-scan", STAGE[0])]
)
def test_the_rounding_of_8_bits_in_strange_light_never_makes_a_face_worse(
    bundled: Restorer, scene: tuple[Picture, Face], name: str, light: tuple[float, ...]
) -> None:
    photo, face = scene
    truth = lit(photo, light)
    given = np.rint(255 * truth).astype(np.uint8)
    restored = bundled.restore(given, preset(name, budget=600), found=(face,)).photo
    before, after = (relative_error(x * np.uint16(257), truth, np.array(light)) for x in (given, restored))
    assert after < before * 10**0.01


def test_noise_beyond_the_rounding_of_8_bits_is_still_taken_out(
    bundled: Restorer, scene: tuple[Picture, Face]
) -> None:
    photo, face = scene
    truth, noise = 0.2 * photo, np.random.default_rng(0).normal(0, 3 / 255, photo.shape)
    given = np.rint(255 * np.clip(truth + noise, 0, 1)).astype(np.uint8)
    restored = bundled.restore(given, preset("standard", budget=600), found=(face,)).photo
    before, after = (relative_error(x * np.uint16(257), truth, np.full(3, 0.2)) for x in (given, restored))
    assert after < before * 10**-0.1


@pytest.mark.parametrize(("light", "faded"), [(STAGE[0], (1, 0)), (STAGE[3], (1, 0)), (STAGE[2], FADED[1])])
def test_the_rounding_of_8_bits_does_not_keep_a_face_blurred(
    bundled: Restorer, scene: tuple[Picture, Face], light: tuple[float, ...], faded: tuple[float, float]
) -> None:
    photo, face = scene
    blurred = cv2.GaussianBlur(photo, (0, 0), 1.5)
    errors = []
    for lights in [((1.0, 1.0, 1.0), 1.0, 0.0), (light, *faded)]:
        given, truth = np.rint(255 * lit(blurred, *lights)).astype(np.uint8), lit(photo, *lights)
        restored = bundled.restore(given, preset("ai-generated", budget=600), found=(face,)).photo
        errors.append(relative_error(restored * np.uint16(257), truth, np.array(lights[0]) * lights[1]))
    neutral, strange = errors
    assert strange < neutral * 10**0.07


def test_the_rounding_limits_only_as_much_as_no_other_damage_does() -> None:
    noise, gain = np.zeros(3, np.float32), np.array([1, 8, 8], np.float32)
    whole = rounding_of(np.dtype(np.uint8), noise, gain)
    half = rounding_of(np.dtype(np.uint8), noise, gain, 0.5)
    assert whole == pytest.approx(np.array([8, 1, 1]) / 255)
    assert half == pytest.approx(np.array([4, 0.5, 0.5]) / 255)
    assert rounding_of(np.dtype(np.uint8), noise, gain, 0.0) is None
    assert rounding_of(np.dtype(np.uint16), noise, gain) is None


def test_only_changes_that_the_rounding_explains_are_taken_back() -> None:
    photo = np.full((4, 4, 3), 100, np.uint8)
    level = np.array([0, 1, 4], np.float32) / 255
    for change, kept in ((1, (1, 0, 0)), (3, (3, 3, 0)), (-3, (-3, -3, 0)), (9, (9, 9, 9))):
        restored = (photo + np.int16(change)).astype(np.uint8)
        keep_rounding(restored, photo, level)
        assert (restored.astype(int) - photo)[0, 0] == pytest.approx(kept, abs=3 if change == 9 else 0)
