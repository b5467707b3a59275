import cv2
import numpy as np
import pytest

from base.errors import SettingsError
from portraits.damage import degrade as degrade_at_random
from portraits.degradations import DEGRADATIONS, MIXED, NAMES, RANGES, TEXTURE, UNDEGRADED, degrade, named
from portraits.likeness import psnr

KINDS = ("blur", "noise", "jpeg", "low-resolution", "mixed")


@pytest.fixture(scope="module")
def truth():
    from skimage.data import astronaut

    return np.ascontiguousarray(
        cv2.resize(astronaut()[:256, 96:352], (128, 128), interpolation=cv2.INTER_AREA)
    )


def test_the_table_has_every_kind_and_severity_and_each_design_row_once():
    assert len(set(NAMES)) == len(NAMES)
    assert {f"{kind}-{severity}" for kind in KINDS for severity in ("light", "medium", "heavy")} < set(NAMES)
    assert {*TEXTURE, *MIXED, UNDEGRADED} < set(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_heavier_degradation_is_further_from_the_truth(kind, truth):
    light, medium, heavy = named(tuple(f"{kind}-{severity}" for severity in ("light", "medium", "heavy")))
    levels = [psnr(degrade(truth, degradation, 0), truth) for degradation in (light, medium, heavy)]
    assert levels[0] > levels[1] > levels[2]


@pytest.mark.parametrize("degradation", DEGRADATIONS, ids=NAMES)
def test_a_portrait_is_always_degraded_alike_and_the_truth_is_kept(degradation, truth):
    before = truth.copy()
    once, again = (degrade(truth, degradation, 7) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(truth, before)
    assert (once.shape, once.dtype) == (truth.shape, np.uint8)
    assert np.array_equal(once, truth) == (degradation.name == UNDEGRADED)


def test_noise_has_its_deviation_and_is_another_for_another_portrait():
    grey = np.full((128, 128, 3), 128, np.uint8)
    (degradation,) = named(("noise-medium",))
    one, other = (degrade(grey, degradation, i).astype(float) for i in (0, 1))
    assert one.std() == pytest.approx(12, rel=0.02)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_blur_follows_the_size_of_the_crop(truth):
    (degradation,) = named(("blur-heavy",))
    small = cv2.resize(truth, (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(degrade(truth, degradation, 0), blurred(truth, 2))
    np.testing.assert_array_equal(degrade(small, degradation, 0), blurred(small, 1))


def blurred(picture, sigma):
    return np.rint(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma)).astype(np.uint8)


def test_the_training_range_is_what_training_does_with_seed_0(truth):
    (degradation,) = named(("training-range",))
    expected = degrade_at_random(truth, np.random.default_rng((0, 3)), RANGES)
    np.testing.assert_array_equal(degrade(truth, degradation, 3), expected)


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match="no degradation 'rain': give some of undegraded, nearly-clean"):
        named(("blur-light", "rain"))
