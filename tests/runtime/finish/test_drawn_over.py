from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.face_work import SeenFace
from runtime.faces.align import AlignedFace, cut_out
from runtime.faces.mesh import LEFT_EYE, RIGHT_EYE, FaceMesh
from runtime.finish.drawn_over import closed_lids, find_covered
from runtime.pixels import Crop
from runtime.restorer import Restorer
from runtime.settings.settings import RestoreSettings
from tests.runtime.finish.held_things import NONE, damaged, held, thing


@pytest.mark.parametrize("damage", ["none", "noise", "blur"])
@pytest.mark.parametrize("kind", ["microphone", "fingers", "food", "strands", "rims"])
def test_what_a_network_draws_over_is_kept(bare: AlignedFace, kind: str, damage: str) -> None:
    if (kind, damage) == ("strands", "blur"):
        pytest.skip("blurred hairs cannot be told from blurred skin")
    crop, there = held(bare.crop, kind)
    crop, noise = damaged(crop, damage)
    covered = find_covered(replace(bare, crop=crop), bare.crop, noise)
    assert covered is not None
    drawn_over = np.abs(cv2.GaussianBlur(crop - bare.crop, (0, 0), 1)).max(axis=2) > 12 / 255
    kept = covered.area > 0.99
    assert kept[there & drawn_over].mean() > (0.85 if kind == "strands" else 0.97)
    if kind in ("microphone", "food"):
        far = cv2.dilate(there.astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
        assert (covered.area[far] == 0).mean() > 0.97


@pytest.mark.parametrize("damage", ["none", "noise", "blur"])
def test_the_removal_of_damage_is_not_taken_for_a_cover(bare: AlignedFace, damage: str) -> None:
    crop, noise = damaged(bare.crop, damage)
    moved = cv2.warpAffine(
        bare.crop, np.array([[1, 0, 0.7], [0, 1, -0.5]]), (256, 256), borderMode=cv2.BORDER_REFLECT
    )
    for restored in (bare.crop, np.clip(bare.crop + 0.03, 0, 1), moved):
        assert find_covered(replace(bare, crop=crop), restored, noise) is None


def test_where_information_is_missing_anyway_nothing_is_reported_again(bare: AlignedFace) -> None:
    crop, there = held(bare.crop, "microphone")
    known = cv2.dilate(there.astype(np.float32), np.ones((9, 9)))
    assert find_covered(replace(bare, crop=crop), bare.crop, NONE, known) is None


def test_another_face_is_no_cover(bare: AlignedFace) -> None:
    other = np.random.default_rng(0).uniform(0, 1, (16, 16, 3)).astype(np.float32)
    drawn = cv2.resize(other, (256, 256), interpolation=cv2.INTER_CUBIC)
    assert find_covered(bare, np.clip(drawn, 0, 1), NONE) is None


def test_closed_eyes_that_the_network_opens_are_kept(bare: AlignedFace) -> None:
    assert bare.mesh is not None
    points, asleep = bare.mesh.points.copy(), bare.crop.copy()
    for outline in (LEFT_EYE, RIGHT_EYE):
        eye = np.rint(points[list(outline), :2]).astype(np.int32)
        cv2.fillPoly(asleep, [eye], asleep[140, 90].tolist())
        middle = points[list(outline), 1].mean()
        points[list(outline), 1] = middle + 0.2 * (points[list(outline), 1] - middle)
    closed = replace(bare, crop=cv2.GaussianBlur(asleep, (0, 0), 0.6), mesh=FaceMesh(points))
    lids = closed_lids(closed, 256)
    assert lids.any()
    assert not closed_lids(bare, 256).any()
    covered = find_covered(closed, bare.crop, NONE)
    assert covered is not None
    assert covered.opened
    assert covered.area[lids].min() > 0.99
    assert find_covered(closed, closed.crop, NONE) is None


def test_a_microphone_stays_in_the_photo_and_is_reported_like_the_turn_of_the_head(
    head: NDArray[np.uint8], bare: AlignedFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour, cover = thing("microphone")
    to_photo, size = bare.to_photo, head.shape[1::-1]
    mask, paint = (cv2.warpAffine(picture, to_photo, size) for picture in (cover, colour))
    before = np.rint(head * (1 - mask[..., None]) + 255 * paint).astype(np.uint8)

    def bare_face(seen: SeenFace, made: Crop) -> tuple[Crop, Crop, float]:
        own = cut_out(head, seen.aligned.to_photo, len(made))
        return own, own, 0.0

    monkeypatch.setattr(SeenFace, "in_own_tone", bare_face)
    monkeypatch.setattr("runtime.face_work.find_missing", lambda *_: None)  # it may see the thing itself
    monkeypatch.setattr(FaceMesh, "yaw", property(lambda self: -50.0))
    with Restorer.open(threads=1) as restorer:
        result = restorer.restore(before, RestoreSettings(budget=600))
    (face,) = result.faces
    (warning,) = [each for each in face.warnings if each.code == "covered"]
    assert "the photo's own pixels were kept there" in warning.sentence
    assert "turned by about 50°" in next(w.sentence for w in face.warnings if w.code == "turned-away")
    well_inside = cv2.erode((mask > 0.99).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert np.abs(result.photo.astype(int) - before)[well_inside].max() <= 3


@pytest.mark.parametrize("kind", ["microphone", "fingers", "food"])
def test_what_is_not_found_in_noise_loses_nothing_but_noise(
    head: NDArray[np.uint8], bare: AlignedFace, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour, cover = thing(kind)
    mask, paint = (cv2.warpAffine(each, bare.to_photo, head.shape[1::-1]) for each in (cover, colour))
    clean = head * (1 - mask[..., None]) + 255 * paint
    noise = np.random.default_rng(0).normal(0, 10, clean.shape)
    before = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    monkeypatch.setattr("runtime.face_work.find_missing", lambda *_: None)
    monkeypatch.setattr("runtime.face_work.find_covered", lambda *_: None)
    with Restorer.open(threads=1) as restorer:
        after = restorer.restore(before, RestoreSettings(budget=600)).photo

    def error(picture: NDArray[np.uint8], sigma: float) -> float:
        change = picture - clean
        change = cv2.GaussianBlur(change, (0, 0), sigma) if sigma else change
        return float(np.sqrt(np.mean(change[mask > 0.99] ** 2)))

    assert error(after, 0) < 0.8 * error(before, 0)
    assert error(after, 2) < error(before, 2) + 0.5
