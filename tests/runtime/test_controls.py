"""Presets, region weights and warnings, as a user meets them through the restorer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from base.errors import SettingsError
from runtime import Restorer, RestoreSettings, preset
from runtime.faces.align import face_rectangle
from runtime.faces.regions import region_masks_of
from runtime.result import FaceResult
from runtime.settings.presets import PRESETS
from runtime.settings.settings import Upscale

pytestmark = pytest.mark.usefixtures("any_colours")

Pixels = NDArray[np.uint8]
PATIENT = RestoreSettings(budget=600)


@pytest.fixture(scope="module")
def blurred(portrait: Pixels) -> Pixels:
    """The portrait with something to restore."""
    return np.asarray(cv2.GaussianBlur(portrait, (0, 0), 2))


@pytest.fixture(scope="module")
def soft(portrait: Pixels) -> Pixels:
    """The portrait without detail that is finer than the tiny network's crop."""
    return np.asarray(cv2.GaussianBlur(portrait, (0, 0), 4))


def codes(restorer: Restorer, photo: Pixels, settings: RestoreSettings) -> list[str]:
    (face,) = restorer.restore(photo, settings).faces
    return [warning.code for warning in face.warnings]


def test_smaller_steps_stay_nearer_to_the_photo(restorer: Restorer, blurred: Pixels) -> None:
    strengths = [0.02, 0.04, 0.1, 1.0]
    changed = []
    for eta in strengths:
        settings = replace(PATIENT, latent_step_decay=eta, iterations=20 if eta < 1 else 1)
        result = restorer.restore(blurred, settings)
        changed.append(np.abs(result.photo.astype(int) - blurred).mean())
    assert changed == sorted(changed)
    assert changed[0] < 0.6 * changed[-1]


def changes(
    restorer: Restorer,
    photo: Pixels | NDArray[np.uint16],
    settings: RestoreSettings,
    strengths: Sequence[float],
) -> list[float]:
    """Return the mean change of the photo at each strength."""
    with restorer.prepare(photo, settings) as prepared:
        results = [prepared.restore(replace(settings, strength=each)).photo for each in strengths]
    return [float(np.abs(result.astype(int) - photo).mean()) for result in results]


@pytest.mark.parametrize("name", PRESETS)
def test_strength_is_the_share_of_the_way_to_what_the_preset_does(
    restorer: Restorer, blurred: Pixels, name: str
) -> None:
    noisy = np.clip(blurred + np.random.default_rng(1).normal(0, 6, blurred.shape), 0, 255).astype(np.uint8)
    strengths = [0, 0.05, 0.6, 1]
    for photo in (blurred, noisy):
        deep = photo.astype(np.uint16) * 257  # in 8 bits a small share of a small change is none
        changed = changes(restorer, deep, preset(name, budget=600), strengths)
        assert changed[0] == 0
        assert changed == sorted(changed)
        assert [change / changed[-1] for change in changed] == pytest.approx(strengths, abs=0.02)


@pytest.mark.parametrize("upscale", [1, 2])
def test_half_the_strength_is_half_the_way_at_each_pixel(
    restorer: Restorer, portrait: Pixels, upscale: Upscale
) -> None:
    sepia = np.stack([portrait[..., 1], portrait[..., 1] // 2 + 40, portrait[..., 1] // 4], axis=2)
    for photo in (portrait, sepia):
        with restorer.prepare(photo) as prepared:
            none, half, full = (
                prepared.restore(replace(PATIENT, strength=each, upscale=upscale)).photo.astype(float)
                for each in (0, 0.5, 1)
            )
        off = np.abs(half - (none + full) / 2)
        assert off.max() <= 4  # three roundings, and that of the toning


def test_strength_multiplies_the_way_of_each_region(restorer: Restorer, soft: Pixels) -> None:
    weighted = preset("classic", face_mask_weights={"face": 0.5}, budget=600)
    through_both = restorer.restore(soft, replace(weighted, strength=0.5))
    alone = restorer.restore(soft, preset("classic", face_mask_weights={"face": 0.25}, budget=600))
    assert np.abs(through_both.photo.astype(int) - alone.photo).max() <= 1
    assert through_both.faces[0].progress == 0.5


def test_no_strength_leaves_the_photo_and_takes_no_pass(restorer: Restorer, portrait: Pixels) -> None:
    deep = portrait.astype(np.uint16) * 257
    for photo in (portrait, deep, np.repeat(portrait[..., :1], 3, axis=2)):
        result = restorer.restore(photo, RestoreSettings(strength=0))
        assert np.array_equal(result.photo, photo)
        assert [face.loop for face in result.faces] == [None]


def test_a_face_may_have_a_strength_of_its_own(restorer: Restorer, portrait: Pixels) -> None:
    two = np.concatenate([portrait, portrait], axis=1)
    found = restorer.detect(two)
    mixed = restorer.restore(two, PATIENT, {0: replace(PATIENT, strength=0.2)}, found=found)
    assert [round(face.progress, 3) for face in mixed.faces] == [
        round(0.2 * (1 - 0.9**30), 3),
        round(1 - 0.9**30, 3),
    ]


def test_a_light_result_that_was_asked_for_is_no_slow_convergence(restorer: Restorer, soft: Pixels) -> None:
    assert codes(restorer, soft, replace(PATIENT, strength=0.1)) == []
    slow = replace(PATIENT, latent_step_decay=0.02, iterations=10)
    assert codes(restorer, soft, replace(slow, strength=0.9)) == []


def test_progress_says_how_far_it_went(restorer: Restorer, portrait: Pixels) -> None:
    (face,) = restorer.restore(portrait, replace(PATIENT, latent_step_decay=0.05, iterations=10)).faces
    assert face.progress == pytest.approx(1 - 0.95**10)


def inside_lips(face: FaceResult) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the photo's pixels well inside the lips, so that no neighbour outside has a part in them."""
    assert face.aligned is not None
    lip = region_masks_of(face.aligned)["lip"] > 0.999
    rows, columns = np.nonzero(cv2.erode(lip.astype(np.uint8), np.ones((3, 3))))
    places = np.stack([columns, rows, np.ones_like(rows)]).T @ face.aligned.to_photo.T
    x, y = np.rint(places).astype(int).T
    assert len(x) > 3
    return y, x


def test_a_region_of_weight_zero_keeps_its_pixels_bit_for_bit(restorer: Restorer, blurred: Pixels) -> None:
    for grain in (False, True):
        result = restorer.restore(blurred, replace(PATIENT, face_mask_weights={"lip": 0}, grain=grain))
        lips = inside_lips(result.faces[0])
        assert np.array_equal(result.photo[lips], blurred[lips])
        assert not np.array_equal(result.photo, blurred)


def test_all_weights_zero_change_nothing(restorer: Restorer, portrait: Pixels) -> None:
    result = restorer.restore(portrait, replace(PATIENT, face_mask_weights={"face": 0}))
    assert np.array_equal(result.photo, portrait)


def test_grain_comes_back_only_when_asked_for(restorer: Restorer, portrait: Pixels) -> None:
    noise = np.random.default_rng(0).normal(0, 12, portrait.shape)
    noisy = np.clip(portrait + noise, 0, 255).astype(np.uint8)
    settings = replace(PATIENT, latent_step_decay=0.02, iterations=20)
    cored, grainy = (restorer.restore(noisy, replace(settings, grain=grain)).photo for grain in (False, True))
    rough = [np.abs(np.diff(photo[90:150, 200:250].astype(int), axis=1)).mean() for photo in (cored, grainy)]
    assert rough[0] < 0.8 * rough[1]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_restores(restorer: Restorer, blurred: Pixels, name: str) -> None:
    result = restorer.restore(blurred, preset(name, budget=600))
    assert result.settings == preset(name, budget=600)
    assert not np.array_equal(result.photo, blurred)


def test_presets_are_those_of_the_design() -> None:
    assert preset("standard") == RestoreSettings()
    early = preset("early-digital")
    assert (early.degradation_scale, early.latent_step_decay) == (0, 0.04)
    assert early.face_mask_weights == {"eye": 1.3, "lip": 1.3, "cheek": 1.0, "forehead": 0.8, "other": 0.7}
    generated = preset("ai-generated")
    assert (generated.degradation_scale, generated.latent_step_decay) == (0, 0.02)


def test_what_is_said_wins_over_the_preset_and_unknown_presets_are_refused() -> None:
    assert preset("early-digital", latent_step_decay=0.05).latent_step_decay == 0.05
    with pytest.raises(SettingsError, match=r"no preset 'vivid': there are standard, classic"):
        preset("vivid")


def test_warnings_come_for_what_the_settings_risk(restorer: Restorer, soft: Pixels) -> None:
    assert codes(restorer, soft, PATIENT) == []
    assert codes(restorer, soft, replace(PATIENT, degradation_scale=1.15)) == ["hallucination-risk"]
    slow = replace(PATIENT, latent_step_decay=0.02, iterations=10)
    assert codes(restorer, soft, slow) == ["slow-convergence"]
    assert codes(restorer, soft, replace(PATIENT, budget=1e-9)) == ["budget-exceeded"]


def test_slow_convergence_says_how_many_iterations_would_do(restorer: Restorer, soft: Pixels) -> None:
    slow = replace(PATIENT, latent_step_decay=0.02, iterations=10)
    (face,) = restorer.restore(soft, slow).faces
    (warning,) = face.warnings
    assert "10 iterations at step 0.02 go only 18%" in warning.sentence
    assert "35 would go half of it" in warning.sentence


def test_a_spent_budget_leaves_more_to_the_photo(restorer: Restorer, blurred: Pixels) -> None:
    full = restorer.restore(blurred, PATIENT)
    cut = restorer.restore(blurred, replace(PATIENT, budget=1e-9))
    change = [np.abs(result.photo.astype(int) - blurred).mean() for result in (cut, full)]
    assert change[0] < change[1]
    assert cut.faces[0].progress < full.faces[0].progress


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 1.1}, r"strength is 1\.1: give 0 to 1"),
        ({"strength": -0.1}, r"give 0 to 1"),
        ({"degradation_scale": 0.1}, r"0\.3 to 1\.2, or 0"),
        ({"degradation_scale": 1.3}, "the prior invent"),
        ({"latent_step_decay": 0.01}, r"0\.02 to 0\.1, or 1"),
        ({"latent_step_decay": 0.5}, "overshoot"),
        ({"iterations": 0}, "1 to 1000"),
        ({"budget": 0.0}, "more than 0"),
        ({"face_mask_weights": {"chin": 1.0}}, "chin"),
        ({"face_mask_weights": {"eye": 2.5}}, "eye"),
    ],
)
def test_controls_outside_their_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        RestoreSettings(**settings)  # type: ignore[arg-type]


def test_film_scan_keeps_grain_and_low_light_takes_noise_away() -> None:
    film, dark = preset("film-scan"), preset("low-light")
    assert (film.degradation_scale, film.latent_step_decay, film.face_mask_weights) == (0, 0.05, {})
    assert film.grain
    assert film.soften_scratches
    assert (dark.degradation_scale, dark.latent_step_decay) == (0, 0.07)
    assert dark.face_mask_weights == {"edge": 0.7}
    assert dark.desaturate_fringes
    assert dark.clamp_ringing
    assert dark.multiscale_blend


REPAIRED = replace(
    PATIENT,
    grain=True,
    soften_scratches=True,
    desaturate_fringes=True,
    clamp_ringing=True,
    multiscale_blend=True,
)


def test_a_region_of_weight_zero_stays_bit_identical_under_all_repairs(
    restorer: Restorer, portrait: Pixels
) -> None:
    photo = portrait.copy()
    cv2.line(photo, (205, 20), (222, 230), (235, 225, 170), 1, cv2.LINE_AA)
    settings = replace(REPAIRED, face_mask_weights={"lip": 0})
    result = restorer.restore(photo, settings)
    lips = inside_lips(result.faces[0])
    assert np.array_equal(result.photo[lips], photo[lips])
    assert not np.array_equal(result.photo, photo)
    nothing = restorer.restore(photo, replace(REPAIRED, face_mask_weights={"face": 0}))
    assert np.array_equal(nothing.photo, photo)


@pytest.fixture(scope="module")
def default() -> Iterator[Restorer]:
    with Restorer.open() as opened:
        yield opened


def test_film_scan_keeps_the_grain_on_the_face_and_leaves_the_rest(
    default: Restorer, portrait: Pixels
) -> None:
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, portrait.shape[:2]), (0, 0), 0.8)
    grainy = np.clip(np.rint(portrait + grain[..., None] * 12 / grain.std()), 0, 255).astype(np.uint8)
    settings = preset("film-scan", budget=600)
    clean, kept, gone = (
        default.restore(photo, chosen).photo.astype(float)
        for photo, chosen in (
            (portrait, settings),
            (grainy, settings),
            (grainy, replace(settings, grain=False)),
        )
    )
    (face,) = default.restore(grainy, settings).faces
    assert face.aligned is not None
    skin = np.s_[120:160, 205:255]

    def fine(picture: NDArray[np.float64]) -> NDArray[np.float64]:
        """The picture's grain: what changes within a few pixels."""
        return np.asarray((picture - cv2.GaussianBlur(picture, (0, 0), 3))[skin])

    before = fine(grainy.astype(float) - portrait).var()
    assert fine(kept - clean).var() == pytest.approx(before, rel=0.2)
    assert fine(gone - clean).var() < 0.8 * fine(kept - clean).var()  # coarse grain is partly kept
    x0, y0, x1, y1 = face_rectangle(face.aligned, grainy.shape)
    outside = np.ones(grainy.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    assert outside.any()
    assert np.array_equal(kept[outside], grainy[outside])
