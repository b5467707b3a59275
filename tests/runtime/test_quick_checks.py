"""The three quick checks: figures that move the right way, and words that follow."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, align
from runtime.faces.detect import open_detector
from runtime.pixels import Crop
from runtime.quick_checks import SIDE, Finding, Places, check_face, find_places

Change = Callable[[Crop], Crop]


@pytest.fixture(scope="module")
def aligned(portrait: NDArray[np.uint8]) -> AlignedFace:
    (face,) = open_detector().detect(portrait)
    return align(portrait, face, SIDE)


@pytest.fixture(scope="module")
def places(aligned: AlignedFace) -> Places:
    return find_places(aligned)


def checked(aligned: AlignedFace, places: Places, before: Crop, after: Crop) -> dict[str, Finding]:
    return check_face(places, (before, after, before), aligned.scale)


def value(finding: Finding, which: int = 0) -> float:
    return list(finding.figures.values())[which].after


def blurred(crop: Crop, sigma: float) -> Crop:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.float32)


def sharpened(crop: Crop, amount: float) -> Crop:
    return np.clip(crop + amount * (crop - blurred(crop, 4)), 0, 1).astype(np.float32)


def flattened(crop: Crop) -> Crop:
    eight = np.rint(crop * 255).astype(np.uint8)
    return cv2.medianBlur(cv2.medianBlur(eight, 15), 15).astype(np.float32) / 255


def test_the_same_picture_passes_all_checks(aligned: AlignedFace, places: Places) -> None:
    findings = checked(aligned, places, aligned.crop, aligned.crop)
    assert list(findings) == ["hair", "highlights", "pupils"]
    assert all(finding.good for finding in findings.values())
    for finding in findings.values():
        for figure in finding.figures.values():
            assert figure.before == figure.after == figure.classic > 0


def test_blur_widens_edges_and_takes_texture_and_structure(aligned: AlignedFace, places: Places) -> None:
    series = [
        checked(aligned, places, aligned.crop, blurred(aligned.crop, sigma)) for sigma in (0.5, 2, 4, 8)
    ]
    widths = [value(findings["hair"]) for findings in series]
    assert widths == sorted(widths)
    for check in ("highlights", "pupils"):
        values = [value(findings[check]) for findings in series]
        assert values == sorted(values, reverse=True)
    assert "washed out" in series[-1]["hair"].verdict
    assert "waxen" in series[-1]["highlights"].verdict
    assert "single ring" in series[-1]["pupils"].verdict
    assert not any(finding.good for finding in series[-1].values())


def test_sharpening_steepens_edges_and_roughens_skin(aligned: AlignedFace, places: Places) -> None:
    series = [
        checked(aligned, places, aligned.crop, sharpened(aligned.crop, amount)) for amount in (0.2, 1, 3)
    ]
    for check, which in (("hair", 1), ("highlights", 0), ("pupils", 0)):
        values = [value(findings[check], which) for findings in series]
        assert values == sorted(values)
    assert "saw-tooth" in series[-1]["hair"].verdict
    assert "rough" in series[-1]["highlights"].verdict
    assert "invented" in series[-1]["pupils"].verdict


def test_a_photo_whose_sharpness_comes_back_is_not_blamed(aligned: AlignedFace, places: Places) -> None:
    soft = blurred(aligned.crop, 2.5)
    findings = check_face(places, (soft, blurred(aligned.crop, 1.2), aligned.crop), aligned.scale)
    assert all(finding.good for finding in findings.values())


def test_flattened_skin_is_waxen(aligned: AlignedFace, places: Places) -> None:
    finding = checked(aligned, places, aligned.crop, flattened(aligned.crop))["highlights"]
    assert "waxen" in finding.verdict
    assert value(finding) < 0.5 * finding.figures["texture in highlights, levels"].before


def test_what_was_noise_is_said(aligned: AlignedFace, places: Places) -> None:
    noise = np.random.default_rng(0).normal(0, 0.06, aligned.crop.shape)
    noisy = np.clip(aligned.crop + noise, 0, 1).astype(np.float32)
    finding = checked(aligned, places, noisy, flattened(noisy))["highlights"]
    assert "part of it was noise" in finding.verdict


def test_an_iris_painted_as_rings_is_a_single_ring(aligned: AlignedFace, places: Places) -> None:
    painted = aligned.crop.copy()
    y, x = np.mgrid[:SIDE, :SIDE]
    for centre_x, centre_y in places.irises:
        distance = np.hypot(x - centre_x, y - centre_y)
        shade = np.clip(0.2 + 0.05 * np.sin(distance), 0, 1)
        painted[distance <= places.radius] = shade[distance <= places.radius][:, None]
    finding = checked(aligned, places, aligned.crop, painted)["pupils"]
    assert value(finding) < 1
    assert finding.verdict.startswith("a single ring")


def test_irises_of_a_few_pixels_are_not_judged(aligned: AlignedFace, places: Places) -> None:
    finding = check_face(places, (aligned.crop,) * 3, scale=0.1)["pupils"]
    assert finding.good is None
    assert "cannot be judged: an iris is" in finding.verdict


def test_a_face_without_anything_is_not_judged(aligned: AlignedFace) -> None:
    blank = AlignedFace(aligned.face, np.full((SIDE, SIDE, 3), 0.5, np.float32), aligned.to_photo)
    findings = check_face(find_places(blank), (blank.crop,) * 3, aligned.scale)
    assert findings["hair"].good is None
    assert findings["highlights"].good is None
