from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.face_work import CutFace, SeenFace, see
from runtime.faces.align import AlignedFace
from runtime.faces.regions import crop_landmarks
from runtime.finish.sharp_things import find_sharp
from runtime.pixels import Crop
from runtime.restorer import Restorer
from runtime.settings.settings import RestoreSettings
from tests.runtime.finish.held_things import NONE, blurred, damaged, held, thing


@pytest.mark.parametrize("kind", ["microphone", "food"])
@pytest.mark.parametrize("sigma", [1.5, 2.5, 4.0])
def test_what_is_sharp_before_a_blurred_face_is_kept(bare: AlignedFace, kind: str, sigma: float) -> None:
    colour, cover = thing(kind)
    crop = blurred(bare.crop, sigma) * (1 - cover[..., None]) + colour
    kept = find_sharp(replace(bare, crop=crop), NONE)
    assert kept is not None
    assert (kept[cover > 0.5] > 0.99).mean() > 0.97
    far = cv2.dilate(cover, np.ones((25, 25), np.uint8)) == 0
    assert (kept[far] == 0).mean() > 0.99


@pytest.mark.parametrize("kind", ["bare", "microphone", "strands", "rims"])
@pytest.mark.parametrize("damage", ["none", "noise", "blur"])
def test_what_is_no_sharper_than_the_face_is_not_found(bare: AlignedFace, kind: str, damage: str) -> None:
    crop, noise = damaged(bare.crop if kind == "bare" else held(bare.crop, kind)[0], damage)
    assert find_sharp(replace(bare, crop=crop), noise) is None


@pytest.mark.parametrize("quality", [15, 40, 90])
def test_blocks_and_noise_are_not_sharp_things(bare: AlignedFace, quality: int) -> None:
    crop = blurred(bare.crop)
    noise = np.random.default_rng(0).normal(0, 0.5 / quality, crop.shape)
    levels = np.rint(255 * np.clip(crop + noise, 0, 1)).astype(np.uint8)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
    assert find_sharp(replace(bare, crop=(jpeg / 255).astype(np.float32)), NONE) is None


def test_a_blurred_face_before_a_sharp_background_is_restored(bare: AlignedFace) -> None:
    around = np.random.default_rng(0).uniform(0, 1, (256, 256, 3)).astype(np.float32)
    face = np.zeros((256, 256, 1), np.float32)
    cv2.ellipse(face, (128, 140), (75, 100), 0, 0, 360, 1, -1)
    crop = face * blurred(bare.crop) + (1 - face) * around
    kept = find_sharp(replace(bare, crop=crop), NONE)
    inside = cv2.erode(face, np.ones((31, 31), np.uint8)) > 0
    assert kept is None or kept[inside].max() == 0


def test_nothing_keeps_its_noise_for_being_sharp(bare: AlignedFace) -> None:
    colour, cover = thing("food")
    crop, noise = damaged(blurred(bare.crop) * (1 - cover[..., None]) + colour, "noise")
    assert find_sharp(replace(bare, crop=crop), noise) is None


def test_where_information_is_missing_anyway_nothing_sharp_is_sought(bare: AlignedFace) -> None:
    colour, cover = thing("food")
    crop = blurred(bare.crop) * (1 - cover[..., None]) + colour
    known = cv2.dilate(cover, np.ones((25, 25), np.uint8))
    assert find_sharp(replace(bare, crop=crop), NONE, known) is None


def test_a_sharp_thing_before_a_blurred_face_stays_in_the_photo(
    head: NDArray[np.uint8], bare: AlignedFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour, cover = thing("food")
    mask, paint = (cv2.warpAffine(each, bare.to_photo, head.shape[1::-1]) for each in (cover, colour))
    soft = blurred(head.astype(np.float32), 4.0)
    before = np.rint(soft * (1 - mask[..., None]) + 255 * paint).astype(np.uint8)

    def sharpened(seen: SeenFace, made: Crop) -> tuple[Crop, Crop, float]:
        crop = seen.aligned.crop
        own = np.clip(crop + 2 * (crop - blurred(crop)), 0, 1)
        return own, own, 0.0

    monkeypatch.setattr(SeenFace, "in_own_tone", sharpened)
    monkeypatch.setattr("runtime.face_work.find_missing", lambda *_: None)
    with Restorer.open(threads=1) as restorer:
        result = restorer.restore(before, RestoreSettings(budget=600))
    assert not [each for face in result.faces for each in face.warnings if each.code == "covered"]
    change = np.abs(result.photo.astype(int) - before).max(axis=2)
    assert change[mask > 0.99].max() <= 3
    assert change.max() > 20


@pytest.mark.parametrize("kind", ["rims", "food"])
def test_a_sharp_thing_is_no_sign_that_the_blurred_face_behind_it_is_sharp(
    head: NDArray[np.uint8], bare: AlignedFace, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    colour, cover = thing(kind)
    mask, paint = (cv2.warpAffine(each, bare.to_photo, head.shape[1::-1]) for each in (cover, colour))
    soft = blurred(head.astype(np.float32), 4.0)
    before = np.rint(soft * (1 - mask[..., None]) + 255 * paint).astype(np.uint8)
    measured = []
    in_own_tone = SeenFace.in_own_tone

    def noted(seen: SeenFace, made: Crop) -> tuple[Crop, Crop, float]:
        measured.append(in_own_tone(seen, made))
        return measured[-1]

    monkeypatch.setattr(SeenFace, "in_own_tone", noted)
    with Restorer.open(threads=1) as restorer:
        restorer.restore(before, RestoreSettings(budget=600))
    assert [noise_alone for *_, noise_alone in measured] == [0.0]


@pytest.mark.parametrize("part", ["eye", "eyes", "mouth"])
@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_a_face_with_parts_of_its_own_in_focus_is_left_alone(
    head: NDArray[np.uint8], bare: AlignedFace, part: str, sigma: float
) -> None:
    eyes, mouth = bare.face.landmarks[:2], bare.face.landmarks[2:]
    centre = {"eye": eyes[0], "eyes": eyes.mean(axis=0), "mouth": mouth.mean(axis=0)}[part]
    reach = np.array({"eye": (0.45, 0.35), "eyes": (1.0, 0.37), "mouth": (0.7, 0.65)}[part])
    reach = reach * np.linalg.norm(eyes[1] - eyes[0])
    fine = head + 1.2 * (head - blurred(head.astype(np.float32), 1.2))
    places = np.stack(np.meshgrid(*map(np.arange, head.shape[1::-1])), axis=-1)
    share = np.clip((1.3 - np.linalg.norm((places - centre) / reach, axis=-1)) / 0.6, 0, 1)[..., None]
    photo = np.rint(np.clip(fine * share + blurred(fine, sigma) * (1 - share), 0, 255)).astype(np.uint8)
    with Restorer.open(threads=1) as restorer:
        result = restorer.restore(photo, RestoreSettings(budget=600))
    assert np.abs(result.photo.astype(int) - photo).max() <= 3


def test_what_is_sharp_before_a_blurred_face_is_shown_blurred_and_stays(
    head: NDArray[np.uint8], bare: AlignedFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.face_work.find_missing", lambda *_: None)
    colour, cover = thing("microphone")
    crop = blurred(bare.crop) * (1 - cover[..., None]) + colour
    seen = see(CutFace(replace(bare, crop=crop), ()), head, RestoreSettings(), None, None)
    inside = cv2.erode(cover, np.ones((5, 5), np.uint8)) > 0.99
    detail = [np.abs(cv2.Laplacian(each, cv2.CV_32F))[inside].mean() for each in (crop, seen.view.shown)]
    assert detail[1] < 0.5 * detail[0]
    np.testing.assert_allclose(seen.view.restored(seen.view.shown), crop, atol=0.01)


def test_eyes_behind_glasses_are_restored_and_the_rims_kept(bare: AlignedFace) -> None:
    colour, cover = thing("rims")
    kept = find_sharp(replace(bare, crop=blurred(bare.crop) * (1 - cover[..., None]) + colour), NONE)
    assert kept is not None
    assert (kept[cover > 0.5] > 0.99).mean() > 0.97
    across, down = np.rint(crop_landmarks(bare)[:2]).astype(int).T
    assert (kept[down, across] < 0.01).all()


@pytest.mark.parametrize("kind", ["camera", "sunglasses"])
def test_an_opaque_lens_before_an_eye_is_kept(bare: AlignedFace, kind: str) -> None:
    crop, across = blurred(bare.crop, 4.0), np.indices((256, 256)).sum(axis=0) // 2 % 2
    left, top = np.rint(crop_landmarks(bare)[0]).astype(int).tolist()
    body, lens = (np.zeros((256, 256), np.uint8) for _ in range(2))
    if kind == "camera":
        cv2.rectangle(body, (left - 30, top - 30), (left + 30, top + 30), 1, -1)
    else:
        cv2.circle(body, (left, top), 19, 1, -1)
    cv2.circle(lens, (left, top), 13, 1, -1)
    crop[body > 0] = (0.15 + 0.6 * across[..., None] + np.zeros(3, np.float32))[body > 0]
    crop[lens > 0] = (0.2, 0.2, 0.22) if kind == "sunglasses" else 0.85 * np.median(bare.crop, axis=(0, 1))
    kept = find_sharp(replace(bare, crop=crop), NONE)
    assert kept is not None
    assert kept[lens > 0].min() > 0.99
