"""Parts of a face without information: found, filled and said; and ordinary faces left alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import Restorer, RestoreSettings, preset
from runtime.align import AlignedFace, align
from runtime.detect import open_detector
from runtime.missing import Missing, fill_missing, find_missing, without_missing

Pixels = NDArray[np.uint8]
PATIENT = RestoreSettings(budget=600)
CHEEK = (244, 124)
"""A place in the middle of a cheek of the portrait."""
INK = (20, 25, 90)


@pytest.fixture(scope="module")
def aligned(portrait: Pixels) -> AlignedFace:
    (face,) = open_detector().detect(portrait)
    return align(portrait, face, 256)


@pytest.fixture(scope="module")
def restorer(tiny_package: Path) -> Iterator[Restorer]:
    with Restorer.open(tiny_package) as opened:
        yield opened


def inked(photo: Pixels, width: int = 15) -> Pixels:
    return cv2.ellipse(photo.copy(), CHEEK, (width, round(0.7 * width)), 20, 0, 360, INK, -1)


def barred(photo: Pixels) -> Pixels:
    return cv2.rectangle(photo.copy(), (180, 85), (275, 108), (0, 0, 0), -1)


def blown_out(photo: Pixels) -> Pixels:
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    light = 350 * np.exp(-(((x - 215) / 22) ** 2) - ((y - 75) / 16) ** 2)
    return np.clip(photo + light[..., None], 0, 255).astype(np.uint8)


def scanned_ink(photo: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 3, photo.shape)
    return np.clip(inked(photo) + noise, 0, 255).astype(np.uint8)


def missing_in(photo: Pixels, aligned: AlignedFace, size: int = 256) -> Missing | None:
    return find_missing(align(photo, aligned.face, size))


@pytest.mark.parametrize(
    ("spoil", "region", "cause"),
    [
        (inked, "cheek", "covered"),
        (scanned_ink, "cheek", "covered"),
        (barred, "eye", "covered"),
        (blown_out, "forehead", "blown out"),
    ],
)
def test_what_is_covered_or_blown_out_is_found_and_named(
    portrait: Pixels, aligned: AlignedFace, spoil: Callable[[Pixels], Pixels], region: str, cause: str
) -> None:
    found = missing_in(spoil(portrait), aligned)
    assert found is not None
    assert region in found.regions
    assert found.cause == cause
    assert 0.015 < found.share < 0.3
    assert found.hole.min() >= 0
    assert found.hole.max() == 1


@pytest.mark.parametrize("size", [64, 256, 512])
def test_the_hole_covers_the_ink_at_every_crop_size(
    portrait: Pixels, aligned: AlignedFace, size: int
) -> None:
    found = missing_in(inked(portrait, 20), aligned, size)
    assert found is not None
    changed = np.abs(
        align(inked(portrait, 20), aligned.face, size).crop - align(portrait, aligned.face, size).crop
    )
    ink = changed.max(axis=2) > 0.1
    assert found.hole[ink].min() > 0.75
    assert (found.hole > 0.5).sum() < 3 * ink.sum() + 0.01 * size**2


def test_ordinary_faces_hold_information_everywhere(portrait: Pixels, aligned: AlignedFace) -> None:
    noise = np.random.default_rng(0).normal(0, 15, portrait.shape)
    _, jpeg = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_QUALITY, 15])
    for photo in (
        portrait,
        portrait // 4,
        cv2.GaussianBlur(portrait, (0, 0), 4),
        np.clip(portrait + noise, 0, 255).astype(np.uint8),
        np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8),
    ):
        assert missing_in(photo, aligned) is None


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (90, 140, 60)])
def test_what_reaches_in_from_outside_is_not_missing(
    portrait: Pixels, aligned: AlignedFace, colour: tuple[int, int, int]
) -> None:
    """A background, a hat or crushed hair, sharply bordered and of one colour."""
    around = cv2.rectangle(portrait.copy(), (0, 0), (185, 511), colour, -1)
    hat = cv2.rectangle(portrait.copy(), (100, 0), (330, 66), colour, -1)
    for photo in (around, hat):
        assert missing_in(photo, aligned) is None


def test_glare_and_highlights_are_not_missing(portrait: Pixels, aligned: AlignedFace) -> None:
    glare = cv2.fillPoly(
        portrait.copy(), [np.array([(190, 100), (202, 100), (196, 108), (188, 108)])], (255,) * 3
    )
    spot = cv2.GaussianBlur(
        cv2.ellipse(portrait.copy(), (225, 78), (8, 5), 0, 0, 360, (255,) * 3, -1), (0, 0), 2
    )
    for photo in (glare, spot):
        assert missing_in(photo, aligned) is None


def test_a_hole_is_filled_with_the_colours_of_the_face_around_it(
    portrait: Pixels, aligned: AlignedFace
) -> None:
    crop = align(inked(portrait), aligned.face, 256).crop
    found = find_missing(replace(aligned, crop=crop))
    assert found is not None
    filled = fill_missing(crop, found)
    inside, outside = found.hole > 0.99, found.hole == 0
    assert np.array_equal(filled[outside], crop[outside])
    assert np.abs(filled - aligned.crop)[inside].mean() < 0.13
    assert np.abs(crop - aligned.crop)[inside].mean() > 0.35
    slope = np.abs(np.diff(filled, axis=0)).max(axis=2)[inside[1:] & inside[:-1]]
    assert slope.max() < 0.04


def test_without_a_hole_nothing_changes(aligned: AlignedFace) -> None:
    kappa = np.full((256, 256), 0.3, np.float32)
    assert fill_missing(aligned.crop, None) is aligned.crop
    assert without_missing(kappa, kappa, None) is kappa


def test_ink_is_gone_from_the_photo_and_the_user_is_told(restorer: Restorer, portrait: Pixels) -> None:
    for settings in (PATIENT, preset("classic"), preset("ai-generated", budget=600)):
        result = restorer.restore(inked(portrait, 20), settings)
        (face,) = result.faces
        (warning,) = [w for w in face.warnings if w.code == "missing-information"]
        assert "of the face holds no picture (the cheeks and chin; covered)" in warning.sentence
        assert np.abs(result.photo[CHEEK[1], CHEEK[0]] - np.array(INK)).max() > 60


def test_ink_under_weight_zero_stays_bit_for_bit(restorer: Restorer, portrait: Pixels) -> None:
    photo = inked(portrait, 20)
    assert np.array_equal(
        restorer.restore(photo, replace(PATIENT, face_mask_weights={"face": 0})).photo, photo
    )
