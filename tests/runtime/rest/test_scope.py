"""A whole photo through the runtime, with a random network for faces and one that smooths for the rest."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from runtime import Restorer, RestoreSettings, preset
from runtime.faces.align import face_rectangle
from runtime.faces.face import Face
from runtime.rest.network import PhotoNetwork, Tile
from runtime.rest.scratches import find_photo_scratches, without_scratches


def smooth(tile: Tile) -> Tile:
    return np.ascontiguousarray(cv2.blur(tile[0].transpose(1, 2, 0), (5, 5)).transpose(2, 0, 1)[None])


@pytest.fixture(scope="module")
def restorer(tiny_package: Path) -> Restorer:
    opened = Restorer.open(tiny_package, threads=1)
    opened._photo_network = PhotoNetwork("smooth", "cv2", smooth, 256, 256, 8)
    return opened


def test_the_scope_faces_leaves_the_rest_and_photo_restores_it(
    restorer: Restorer, portrait: NDArray[np.uint8]
) -> None:
    noise = np.random.default_rng(0).normal(0, 10, portrait.shape)
    photo = np.asarray(np.clip(np.rint(portrait + noise), 0, 255), np.uint8)
    faces, whole, none = (
        restorer.restore(photo, RestoreSettings(scope=scope, budget=600, strength=strength))  # type: ignore[arg-type]
        for scope, strength in (("faces", 1.0), ("photo", 1.0), ("photo", 0.0))
    )
    assert np.array_equal(none.photo, photo)
    (face,) = whole.faces
    assert face.aligned is not None
    x0, y0, x1, y1 = face_rectangle(face.aligned, photo.shape)
    outside = np.ones(photo.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    assert np.array_equal(faces.photo[outside], photo[outside])
    fine = [
        (each - cv2.blur(each.astype(np.float32), (3, 3)))[outside].std() for each in (photo, whole.photo)
    ]
    assert fine[1] < 0.7 * fine[0]
    assert "photo" in whole.timings
    assert "photo" not in faces.timings


def test_a_face_gets_the_restored_photo_back_except_where_it_keeps_its_pixels(
    restorer: Restorer, portrait: NDArray[np.uint8]
) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 30, portrait.shape), (0, 0), 1)
    photo = np.asarray(np.clip(np.rint(portrait + noise), 0, 255), np.uint8)
    for weight, least, most in ((0.0, 0.0, 0.1), (0.02, 2.0, 99.0)):
        wanted = RestoreSettings(scope="photo", face_mask_weights={"face": weight, "other": 1.0})
        result = restorer.restore(photo, wanted)
        (face,) = result.faces
        assert face.aligned is not None
        x0, y0, x1, y1 = face_rectangle(face.aligned, photo.shape)
        middle = np.s_[
            (5 * y0 + 3 * y1) // 8 : (3 * y0 + 5 * y1) // 8, (5 * x0 + 3 * x1) // 8 : (3 * x0 + 5 * x1) // 8
        ]
        change = np.abs(result.photo[middle].astype(float) - photo[middle]).mean()
        assert least <= change <= most, weight


def test_a_photo_without_faces_is_restored_too(restorer: Restorer) -> None:
    photo = np.random.default_rng(0).integers(90, 160, (90, 120, 3)).astype(np.uint8)
    result = restorer.restore(photo, RestoreSettings(scope="photo", upscale=2))
    assert not result.faces
    assert result.photo.shape == (180, 240, 3)
    assert result.photo.std() < 0.7 * photo.std()


def scratched(*, across_things: bool) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:480, :640]
    plain = np.full((480, 640), 120.0)
    if across_things:
        plain[120:200] = 50
        plain[280:360] = 170
    photo = np.repeat(plain[..., None], 3, axis=2) + np.random.default_rng(0).normal(0, 2, (480, 640, 3))
    line = np.abs(columns - 300 - rows * 0.1) < 1.2
    photo[line & (rows > 30) & (rows < 450)] = 225
    return np.asarray(np.clip(photo, 0, 255), np.uint8)


def test_a_scratch_is_softened_where_it_crosses_things_and_a_wire_stays() -> None:
    photo = scratched(across_things=True)
    mended = without_scratches(photo)
    line = find_photo_scratches(photo) > 0.5
    assert line.sum() > 0.8 * 420 * 2
    assert np.abs(mended[150, 310:320].astype(int) - 50).max() < 45
    assert np.array_equal(mended[:, :200], photo[:, :200])
    wire = scratched(across_things=False)
    assert without_scratches(wire) is wire


def test_scratches_of_a_face_are_left_to_its_own_search() -> None:
    photo = scratched(across_things=True)
    landmarks = np.array([[280, 200], [340, 200], [310, 240], [290, 270], [330, 270]], np.float32)
    face = Face((200.0, 20.0, 430.0, 460.0), landmarks, 0.9)
    assert without_scratches(photo, [face]) is photo


def sepia(grey: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.stack([0.93 * grey + 18, 0.8 * grey + 10, 0.62 * grey + 4], axis=-1)


def test_scratches_of_a_whole_toned_photo_are_filled_in_its_tone(restorer: Restorer) -> None:
    damaged = scratched(across_things=True)
    line = (find_photo_scratches(damaged) > 0) & (damaged.max(axis=2) > 200)
    photo = np.rint(sepia(damaged[..., 0].astype(np.float64))).astype(np.uint8)
    photo[line] = 252, 250, 255
    restored = restorer.restore(photo, preset("film-scan", scope="photo")).photo[line]
    off, _ = cKDTree(sepia(np.linspace(0, 255, 2041))).query(restored, p=np.inf)
    assert off.max() <= 1
    assert np.median(restored.max(axis=1)) < 200
