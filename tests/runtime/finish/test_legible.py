from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.finish.legible import DOUBTFUL, SURE, WITHOUT_MESH, share_made_out
from runtime.prepared import PreparedPhoto
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.settings import RestoreSettings

Photo = NDArray[np.uint8]
Without = Callable[[float], RestoreResult]


@pytest.fixture(scope="module")
def face(portrait: Photo) -> NDArray[np.float32]:
    return cv2.resize(portrait[32:224, 128:320], (256, 256)).astype(np.float32) / 255


def test_a_drawing_with_the_photos_own_features_is_believed(face: NDArray[np.float32]) -> None:
    assert share_made_out(face, face, 1.0) == 1
    assert share_made_out(cv2.GaussianBlur(face, (0, 0), 2), face, 1.0) == 1


def test_one_with_features_that_the_photo_does_not_show_is_not(face: NDArray[np.float32]) -> None:
    shares = [share_made_out(cv2.GaussianBlur(face, (0, 0), sigma), face, 1.0) for sigma in (2, 4, 5, 6, 12)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0


def test_what_can_be_made_out_does_not_hang_on_light_or_size(face: NDArray[np.float32]) -> None:
    soft = cv2.GaussianBlur(face, (0, 0), 4.5)
    share = share_made_out(soft, face, 1.0)
    assert share_made_out(0.3 * soft + 0.2, 0.3 * face + 0.2, 1.0) == pytest.approx(share, abs=0.02)
    twice = [cv2.resize(picture, (512, 512)) for picture in (soft, face)]
    assert share_made_out(*twice, 1.0) == pytest.approx(share, abs=0.05)


def test_what_the_detector_doubts_is_believed_less(face: NDArray[np.float32]) -> None:
    shares = [
        share_made_out(face, face, score) for score in (0.4, DOUBTFUL, (DOUBTFUL + SURE) / 2, SURE, 0.9)
    ]
    assert shares == sorted(shares)
    assert shares[1] == 0 < shares[2] < shares[3] == 1


def test_a_flat_drawing_has_no_features_to_doubt() -> None:
    flat = np.full((64, 64, 3), 0.5, np.float32)
    assert share_made_out(flat, flat, 1.0) == 1


@pytest.fixture
def restored(restorer: Restorer, blurred: Photo, monkeypatch: pytest.MonkeyPatch) -> Without:
    """Restore the blurred portrait as if this share of it could be made out, without or with a mesh."""

    def restore(share: float, *, mesh: bool = False, preset: str = "standard") -> RestoreResult:
        monkeypatch.setattr("runtime.face_work.share_made_out", lambda *_: share)
        if not mesh:
            monkeypatch.setattr(PreparedPhoto, "_mesh", lambda *_: None)
        return restorer.restore(blurred, RestoreSettings())

    return restore


def test_a_face_that_the_network_only_guesses_is_left_alone_and_reported(
    restored: Without, blurred: Photo
) -> None:
    result = restored(0.0)
    assert np.array_equal(result.photo, blurred)
    assert [warning.code for warning in result.faces[0].warnings if warning.code == "too-blurred"]
    assert result.faces[0].progress == 0


def test_a_face_without_a_mesh_is_restored_in_part_without_a_warning(
    restored: Without, blurred: Photo
) -> None:
    (with_mesh,), (without,) = (restored(1.0, mesh=mesh).faces for mesh in (True, False))
    assert without.progress == pytest.approx(WITHOUT_MESH * with_mesh.progress)
    assert "too-blurred" not in [warning.code for warning in without.warnings]


def test_between_them_the_change_is_partly_made(restored: Without, blurred: Photo) -> None:
    whole, part = (restored(share).photo.astype(int) - blurred for share in (1.0, 0.5))
    assert 0 < np.abs(part).sum() < np.abs(whole).sum()


def test_a_face_with_a_mesh_is_restored_however_blurred(restored: Without, blurred: Photo) -> None:
    result = restored(0.0, mesh=True)
    assert not np.array_equal(result.photo, blurred)
    assert "too-blurred" not in [warning.code for warning in result.faces[0].warnings]
