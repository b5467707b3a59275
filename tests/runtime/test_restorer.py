"""The whole path in Python: what the API promises."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from base.errors import SettingsError
from runtime import Restorer, RestoreSettings, preset
from runtime.face_warnings import face_warnings
from runtime.faces.align import face_rectangle

Pixels = NDArray[np.uint8]


def test_a_package_that_takes_one_face_at_a_time_restores_a_group(
    restorer: Restorer, static_package: Path, group: Pixels
) -> None:
    with Restorer.open(static_package) as one_by_one:
        assert one_by_one.backend.max_batch == 1
        found, expected = one_by_one.restore(group), restorer.restore(group)
    assert len(found.faces) == 2
    assert np.abs(found.photo.astype(int) - expected.photo).max() <= 1


def test_only_face_rectangles_change(restorer: Restorer, group: Pixels) -> None:
    result = restorer.restore(group)
    assert len(result.faces) == 2
    outside = np.ones(group.shape[:2], bool)
    for face in result.faces:
        assert face.aligned is not None
        x0, y0, x1, y1 = face_rectangle(face.aligned, group.shape)
        outside[y0:y1, x0:x1] = False
    assert outside.mean() > 0.3
    assert np.array_equal(result.photo[outside], group[outside])
    assert not np.array_equal(result.photo[~outside], group[~outside])


def test_the_given_photo_is_not_changed(restorer: Restorer, portrait: Pixels) -> None:
    before = portrait.copy()
    restorer.restore(portrait)
    assert np.array_equal(portrait, before)


def test_faces_come_largest_first_and_can_be_chosen(restorer: Restorer, group: Pixels) -> None:
    everything = restorer.restore(group)
    assert everything.faces[0].face.width > everything.faces[1].face.width
    second = restorer.restore(group, RestoreSettings(face=(1,)))
    assert [face.loop is not None for face in second.faces] == [False, True]
    largest = restorer.restore(group, RestoreSettings(face="largest"))
    assert [face.loop is not None for face in largest.faces] == [True, False]
    assert np.array_equal(largest.photo[:256, 520:], group[:256, 520:])


def test_a_face_that_is_not_there_is_an_error(restorer: Restorer, portrait: Pixels) -> None:
    with pytest.raises(SettingsError, match="no face 7: its only face is 0"):
        restorer.restore(portrait, RestoreSettings(face=(7,)))


def test_a_photo_without_faces_comes_back_as_it_was(restorer: Restorer) -> None:
    blank = np.full((100, 200, 3), 77, np.uint8)
    result = restorer.restore(blank)
    assert result.faces == ()
    assert np.array_equal(result.photo, blank)


def test_tiny_faces_are_left_alone_and_reported(restorer: Restorer, portrait: Pixels) -> None:
    small = portrait[::6, ::6]
    photo = np.full((200, 200, 3), 128, np.uint8)
    photo[50 : 50 + len(small), 50 : 50 + len(small)] = small
    result = restorer.restore(photo)
    (face,) = result.faces
    assert face.face.width < 24
    assert [warning.code for warning in face.warnings] == ["tiny-face"]
    almost = face_warnings(replace(face.face, box=(0.0, 0.0, 23.9, 30.0)), None, RestoreSettings())
    assert almost[0].sentence.startswith("the face is 23 pixels wide, under 24")
    assert np.array_equal(result.photo, photo)


def test_sixteen_bits_go_in_and_come_out(restorer: Restorer, portrait: Pixels) -> None:
    deep = portrait.astype(np.uint16) * 257
    result = restorer.restore(deep, preset("classic"))
    shallow = restorer.restore(portrait, preset("classic"))
    assert result.photo.dtype == np.uint16
    assert np.abs(result.photo / 257 - shallow.photo).max() < 2


@pytest.mark.parametrize("factor", [2, 4])
def test_upscaling_enlarges_photo_and_faces(restorer: Restorer, portrait: Pixels, factor: int) -> None:
    result = restorer.restore(portrait, RestoreSettings(upscale=factor))  # type: ignore[arg-type]
    assert result.photo.shape == (512 * factor, 512 * factor, 3)
    plain = restorer.restore(portrait)
    # The enlarged face lies where the plain one does: averaged back, the two agree.
    averaged = result.photo.reshape(512, factor, 512, factor, 3).mean((1, 3))
    assert np.abs(averaged - plain.photo).mean() < 3


def test_many_faces_pass_in_batches_as_they_would_alone(restorer: Restorer, portrait: Pixels) -> None:
    count = restorer.backend.max_batch + 1
    crowd = np.concatenate([portrait] * count, axis=1)
    result = restorer.restore(crowd)
    assert len(result.faces) == count
    alone = restorer.restore(portrait)
    for i in range(count):
        part = result.photo[100:300, 512 * i + 120 : 512 * i + 320]
        assert np.abs(part.astype(int) - alone.photo[100:300, 120:320]).mean() < 6


def test_results_are_the_same_every_time(restorer: Restorer, group: Pixels) -> None:
    first, second = restorer.restore(group), restorer.restore(group)
    assert np.array_equal(first.photo, second.photo)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"upscale": 3}, "upscale is 3: give 1, 2 or 4"),
        ({"face": "some"}, "face is 'some'"),
        ({"face": (-1,)}, "0 is the largest face"),
        ({"face": ()}, "0 is the largest face"),
        ({"template": "mine"}, "published, ffhq"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        RestoreSettings(**settings)  # type: ignore[arg-type]


def test_results_are_shown_in_a_line(restorer: Restorer, group: Pixels) -> None:
    result = restorer.restore(group, RestoreSettings(face="largest"))
    assert re.fullmatch(r"<RestoreResult 800×512 uint8, 2 faces, \d+ ms>", repr(result))
    first, second = map(repr, result.faces)
    assert re.fullmatch(r"<FaceResult \d+×\d+ at \(\d+, \d+\), 96% restored.*>", first)
    assert re.fullmatch(r"<FaceResult \d+×\d+ at \(\d+, \d+\), left alone>", second)
