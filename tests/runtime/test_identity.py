"""Restoration stops where a face would become another person."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from runtime import FaceResult, Restorer, RestoreSettings, preset
from runtime.faces.align import align
from runtime.faces.close_up import cut_close_up
from runtime.faces.recognise import distance
from runtime.identity import know, share_map, within_bounds
from runtime.pixels import Pixels
from runtime.restore import main

pytestmark = pytest.mark.usefixtures("any_colours")


@pytest.fixture(scope="module")
def bundled() -> Iterator[Restorer]:
    with Restorer.open(threads=1) as opened:
        yield opened


def moved(restorer: Restorer, before: Pixels, after: Pixels, face: FaceResult) -> float:
    """Return how far a face moved, as anyone can measure it."""
    crops = [cut_close_up(photo, face.face.landmarks) for photo in (before, after)]
    return distance(*restorer.recogniser.describe(crops))


def test_weights_that_draw_other_faces_stop_at_the_bound(restorer: Restorer, group: Pixels) -> None:
    prepared = restorer.prepare(group)
    free = prepared.restore(preset("classic"), identify=True)
    for face in free.faces:
        assert face.identity
        assert face.identity.limit is None
        assert face.identity.distance == pytest.approx(moved(restorer, group, free.photo, face), abs=1e-3)
    assert moved(restorer, group, free.photo, free.faces[0]) > 0.6
    assert "another-person" in {warning.code for warning in free.faces[0].warnings}
    for settings in (preset("classic", same_person=0.2), preset("low-light", same_person=0.1)):
        held = prepared.restore(settings)
        assert len(held.faces) == 2
        for face in held.faces:
            assert face.identity
            assert face.identity.limit
            assert settings.same_person
            assert face.identity.limit <= settings.same_person
            assert moved(restorer, group, held.photo, face) <= face.identity.limit + 1e-4
            assert face.identity.share < 1
            assert "identity-limited" in {warning.code for warning in face.warnings}
    assert (held.photo != group).any()


def test_each_face_has_a_bound_of_its_own(restorer: Restorer, group: Pixels) -> None:
    settings = preset("classic", same_person=0.0)
    held = restorer.restore(group, settings, {1: preset("classic")})
    assert moved(restorer, group, held.photo, held.faces[0]) == 0
    assert moved(restorer, group, held.photo, held.faces[1]) > 0.3
    assert held.faces[0].identity
    assert held.faces[1].identity is None
    assert held.faces[0].progress == 0


def test_a_face_within_its_bound_is_restored_as_without(bundled: Restorer, portrait: Pixels) -> None:
    noisy = np.clip(portrait + np.random.default_rng(0).normal(0, 12, portrait.shape), 0, 255)
    photo = np.rint(noisy).astype(np.uint8)
    settings = RestoreSettings(budget=600)
    with bundled.prepare(photo) as prepared:
        free = prepared.restore(settings, identify=True)
        held = prepared.restore(replace(settings, same_person=1.0))
        large = prepared.restore(replace(settings, upscale=2), identify=True)
    np.testing.assert_array_equal(free.photo, held.photo)
    assert held.faces[0].identity
    assert held.faces[0].identity.share == 1
    assert held.faces[0].identity.distance
    assert 0 < held.faces[0].identity.distance < 0.3
    assert [warning.code for warning in held.faces[0].warnings] == [w.code for w in free.faces[0].warnings]
    assert large.faces[0].identity
    assert large.faces[0].identity.distance == pytest.approx(held.faces[0].identity.distance, abs=0.1)


def test_a_photo_too_poor_to_judge_is_reported_and_held_all_the_same(
    restorer: Restorer, portrait: Pixels
) -> None:
    found = restorer.detect(portrait)
    poor = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 5), np.uint8)
    held = restorer.restore(poor, preset("classic", same_person=0.2), found=found)
    (face,) = held.faces
    assert face.identity
    assert face.identity.distance is None
    assert {"identity-unknown", "identity-limited"} <= {warning.code for warning in face.warnings}
    assert moved(restorer, poor, held.photo, face) <= 0.2


def test_a_sharp_face_may_move_less_than_a_blurred_one(bundled: Restorer, portrait: Pixels) -> None:
    (face,) = bundled.detect(portrait)
    sharp = know(bundled.recogniser, portrait, face)
    blurred = know(bundled.recogniser, np.asarray(cv2.GaussianBlur(portrait, (0, 0), 3), np.uint8), face)
    assert blurred.sharpness < sharp.sharpness
    assert 0.1 <= sharp.limit(0.2) < blurred.limit(0.2) <= 0.2


def test_hair_goes_ahead_of_the_face(bundled: Restorer, portrait: Pixels) -> None:
    (face,) = bundled.detect(portrait)
    aligned = align(portrait, face, 256)
    size = len(aligned.crop)
    shares = [share_map(aligned, share) for share in (0.0, 0.1, 0.5, 1.0)]
    assert not shares[0].any()
    assert (shares[3] == 1).all()
    for less, more in pairwise(shares):
        assert (less <= more + 1e-6).all()
    assert shares[1][2, 2] == pytest.approx(0.8)
    assert shares[1][size // 2, size // 2] == pytest.approx(0.1, abs=0.02)


def test_the_command_takes_a_bound_and_reports_the_distance(
    tiny_package: Path, blurred_file: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    arguments = [str(blurred_file), "-o", str(tmp_path / "a.png"), "--model", str(tiny_package)]
    assert main([*arguments, "--report", str(report), "--same-person"]) == 0
    read = json.loads(report.read_text())
    assert read["settings"]["same_person"] == 0.2
    identity = read["photos"][0]["faces"][0]["identity"]
    assert 0 < identity["distance"] <= identity["limit"] <= 0.2
    assert 0 < identity["share"] < 1
    assert "identity" in read["photos"][0]["milliseconds"]
    before, after = (np.asarray(Image.open(path)) for path in (blurred_file, tmp_path / "a.png"))
    assert (before != after).any()


def test_a_face_is_compared_at_the_same_place_however_it_is_aligned(
    restorer: Restorer, blurred: Pixels
) -> None:
    (face,) = restorer.detect(blurred)
    off = replace(face, landmarks=face.landmarks + np.float32([[4, 3], [-3, 2], [3, -4], [-4, 0], [2, 4]]))
    held = restorer.restore(blurred, preset("classic", same_person=0.2), found=(off,))
    identity = held.faces[0].identity
    assert identity
    assert 0 < identity.share < 1
    assert identity.distance == pytest.approx(moved(restorer, blurred, held.photo, held.faces[0]), abs=1e-3)


def test_what_is_reported_is_what_was_pasted_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a face only exceeds its bound once a neighbour has been given up."""
    works: Any = {i: SimpleNamespace(settings=SimpleNamespace(same_person=0.2)) for i in (0, 1)}
    known: Any = {i: SimpleNamespace(limit=lambda bound: bound, is_poor=False) for i in (0, 1)}
    pastes: list[dict[int, float]] = []
    nothing: Any = None

    def paste(shares: Mapping[int, float]) -> Any:
        pastes.append(dict(shares))
        return pastes[-1]

    def distances(_: Any, asked: Any, __: Any, pasted: Any) -> dict[int, float]:
        alone = pastes and pastes[-1][0] == 0
        return {
            0: 0.9 if not pastes or pasted[0] else 0.0,
            1: 0.9 if not pastes or (alone and pasted[1]) else 0,
        }

    monkeypatch.setattr("runtime.identity._distances", distances)
    monkeypatch.setattr("runtime.identity._close_up", lambda *_: None)
    monkeypatch.setattr("runtime.identity._stop", lambda *_: 0.5)
    last, identities = within_bounds(nothing, works, known, nothing, paste)
    assert last == {i: identity.share for i, identity in identities.items()} == {0: 0, 1: 0}
