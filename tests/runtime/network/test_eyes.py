"""The eyes of blurred faces are drawn again, if that is asked for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.package import open_package
from engines.portrait import PORTRAIT
from runtime import Restorer, RestoreSettings
from runtime.commands.report import describe_faces
from runtime.faces.align import AlignedFace
from runtime.faces.mesh import LEFT_LIDS, RIGHT_LIDS, FaceMesh
from runtime.network.eyes import SIZE, STRIP, both_open, fits, smallness, with_new_eyes
from runtime.provenance import Provenance
from runtime.settings.presets import PRESETS, preset
from runtime.settings.resolved import ResolvedSettings

Pixels = NDArray[np.uint8]

EYES = RestoreSettings(eyes="blurred", budget=600)
NO_EYES = replace(EYES, eyes="never")
SMALL = replace(EYES, eyes="small")


@pytest.fixture(scope="module")
def restorer() -> Iterator[Restorer]:
    with Restorer.open(backend="onnxruntime", device="cpu", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def sharp() -> Pixels:
    """A sharp portrait, about as large as the network's crop."""
    read = cv2.imread(str(PORTRAIT))
    assert read is not None
    small = cv2.resize(read[..., ::-1], (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32)
    sharpened = small + np.float32(0.7) * (small - cv2.GaussianBlur(small, (0, 0), 0.8))
    return np.clip(sharpened, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def blurred(sharp: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(sharp, (0, 0), 2), np.uint8)


@pytest.fixture(scope="module")
def aligned(restorer: Restorer, blurred: Pixels) -> AlignedFace:
    (result,) = restorer.restore(blurred, NO_EYES).faces
    assert result.aligned is not None
    return result.aligned


def drawn(restorer: Restorer, photo: Pixels, settings: RestoreSettings = EYES) -> float:
    """Return how far the eyes of the only face were drawn again."""
    (face,) = restorer.restore(photo, settings).faces
    assert face.loop is not None
    return face.loop.new_eyes


def test_the_presets_draw_the_eyes_of_small_faces_but_the_published_pass_does_not() -> None:
    assert {name: preset(name).eyes for name in PRESETS} == dict.fromkeys(PRESETS, "small") | {
        "classic": "never"
    }


def test_only_the_eyes_of_a_blurred_face_change(restorer: Restorer, blurred: Pixels) -> None:
    before, after = (restorer.restore(blurred, settings) for settings in (NO_EYES, EYES))
    (face,) = after.faces
    assert face.loop is not None
    assert face.loop.new_eyes > 0.9
    change = cv2.absdiff(before.photo, after.photo).max(axis=2)
    rows, columns = np.nonzero(change > 1)  # around it, agreement with the photo may round otherwise
    (left, right), unit = face.face.landmarks[:2], np.hypot(*np.diff(face.face.landmarks[:2], axis=0)[0])
    assert left[0] - unit < columns.min() < left[0]
    assert right[0] < columns.max() < right[0] + unit
    assert left[1] - unit < rows.min() < rows.max() < left[1] + unit


def test_settings_in_turn_give_what_each_gives_alone(restorer: Restorer, blurred: Pixels) -> None:
    settings = (NO_EYES, EYES, SMALL)
    alone = [restorer.restore(blurred, each).photo for each in settings]
    assert not np.array_equal(alone[0], alone[1])
    assert np.array_equal(alone[0], alone[2])  # its face is not small
    with restorer.prepare(blurred, EYES) as prepared:
        for i in (0, 1, 2, 0, 2, 1):
            assert np.array_equal(prepared.restore(settings[i]).photo, alone[i])


def test_a_sharp_face_keeps_its_eyes(restorer: Restorer, sharp: Pixels) -> None:
    before, after = (restorer.restore(sharp, settings) for settings in (NO_EYES, EYES))
    assert np.array_equal(before.photo, after.photo)
    assert drawn(restorer, sharp) == 0


def test_a_small_sharp_face_counts_as_blurred(restorer: Restorer, sharp: Pixels) -> None:
    small = np.asarray(cv2.resize(sharp, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)
    for settings in (SMALL, EYES):
        assert drawn(restorer, small, replace(settings, upscale=4)) > 0.9


def test_a_face_is_small_if_its_irises_have_few_pixels() -> None:
    assert [smallness(scale) for scale in (0.1, 0.4, 0.5, 0.6, 2)] == pytest.approx([1, 1, 0.5, 0, 0])


def test_a_weight_of_0_keeps_the_eyes_of_the_photo(restorer: Restorer, blurred: Pixels) -> None:
    kept = replace(EYES, face_mask_weights={"eye": 0, "brow": 0})
    without, after = (
        restorer.restore(blurred, replace(kept, eyes=eyes)) for eyes in (NO_EYES.eyes, EYES.eyes)
    )
    (face,) = after.faces
    for x, y in face.face.landmarks[:2]:
        eye = np.s_[round(y) - 2 : round(y) + 3, round(x) - 3 : round(x) + 4]
        assert np.array_equal(after.photo[eye], blurred[eye])
        assert np.array_equal(without.photo[eye], blurred[eye])


def test_grey_stays_grey(restorer: Restorer, blurred: Pixels) -> None:
    grey = np.asarray(np.repeat(blurred[..., 1:2], 3, axis=2), np.uint8)
    before, after = (restorer.restore(grey, settings).photo for settings in (NO_EYES, EYES))
    assert not np.array_equal(before, after)
    assert (after == after[..., :1]).all()


def test_covered_eyes_are_left(restorer: Restorer, blurred: Pixels, aligned: AlignedFace) -> None:
    photo = blurred.copy()
    (x0, y), (x1, _) = aligned.face.landmarks[:2]
    unit = (x1 - x0) / 2
    corners = ((x0 - unit, y - 0.45 * unit), (x1 + unit, y + 0.45 * unit))
    first, last = (tuple(round(float(value)) for value in corner) for corner in corners)
    cv2.rectangle(photo, first, last, (10, 10, 10), -1)
    assert drawn(restorer, photo) == 0


def test_closed_hidden_and_unknown_eyes_are_left(aligned: AlignedFace) -> None:
    mesh = aligned.mesh
    assert mesh is not None
    nothing = np.zeros((SIZE, SIZE), np.float32)
    assert both_open(aligned, None)
    assert both_open(aligned, nothing)
    assert not both_open(replace(aligned, mesh=None), None)
    for lids in (LEFT_LIDS, RIGHT_LIDS):
        points = mesh.points.copy()
        for upper, lower in lids:
            points[upper] = points[lower]
        assert not both_open(replace(aligned, mesh=FaceMesh(points)), None)
    for eye in mesh.landmarks[:2]:
        hole = nothing.copy()
        cv2.circle(hole, (round(eye[0]), round(eye[1])), 6, 1, -1)  # type: ignore[call-overload]
        assert not both_open(aligned, hole)
    cheek = nothing.copy()
    cheek[170:, :] = 1
    assert both_open(aligned, cheek)


def test_the_strip_ends_without_a_seam() -> None:
    random = np.random.default_rng(0)
    shown, restored = random.uniform(0, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    before = restored.copy()
    change = np.abs(with_new_eyes(shown, restored, 1) - before).max(axis=2)
    assert np.array_equal(restored, before)
    inside = change[STRIP].copy()
    border = max(line.max() for line in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    assert border < 0.05 * inside.max()
    change[STRIP] = 0
    assert not change.any()


def test_half_the_share_makes_half_the_change(aligned: AlignedFace) -> None:
    shown = restored = np.clip(aligned.crop, 0.2, 0.8)
    half, whole = (with_new_eyes(shown, restored, share) - restored for share in (0.5, 1))
    assert np.abs(half - whole / 2).max() < 0.01


def test_other_crops_keep_their_eyes(tiny_package: Path, restorer: Restorer, blurred: Pixels) -> None:
    bundled = open_package().manifest
    assert fits(bundled, "published")
    assert not fits(replace(bundled, loop="moved"), "published")
    assert not fits(bundled, "ffhq")
    assert not fits(open_package(tiny_package).manifest, "published")
    assert drawn(restorer, blurred, replace(EYES, template="ffhq")) == 0
    with Restorer.open(tiny_package, threads=1) as other:
        assert drawn(other, blurred) == 0


def test_report_and_provenance_say_it(restorer: Restorer, blurred: Pixels) -> None:
    for settings in (NO_EYES, EYES):
        result = restorer.restore(blurred, settings)
        (entry,) = describe_faces(result.faces, result.timings)["faces"]
        recorded = Provenance(restorer.package).parameters(result, ResolvedSettings(settings))
        (face,) = recorded["faces"]
        if settings is EYES:
            assert entry["new_eyes"] == pytest.approx(face["new_eyes"], abs=1e-3)
            assert face["new_eyes"] > 0.9
            assert recorded["settings"]["eyes"] == "blurred"
        else:
            assert entry["new_eyes"] == 0
            assert "new_eyes" not in face
            assert recorded["settings"]["eyes"] == "never"
