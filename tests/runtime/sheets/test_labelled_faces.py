"""Sheets show every face: those that were left out too, numbered and marked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from runtime.faces.align import align
from runtime.faces.face import Face
from runtime.result import FaceResult, RestoreResult
from runtime.settings.settings import RestoreSettings
from runtime.sheets.before_after import write_sheet
from runtime.sheets.labelled_faces import labelled_faces
from runtime.sheets.paper import FACE, LABEL, MARGIN

POINTS = np.array(
    [(203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4)], np.float32
)
PHOTO = skimage.data.astronaut()


def found(*left_out: bool, points: np.ndarray = POINTS) -> RestoreResult:
    face = Face((181.5, 58.2, 269.9, 177.8), points, 0.93)
    faces = tuple(FaceResult(face, None if out else align(PHOTO, face, 64), None, 0, ()) for out in left_out)
    return RestoreResult(255 - PHOTO, faces, {}, RestoreSettings())


def test_every_face_keeps_its_number_and_those_left_out_are_marked() -> None:
    faces = labelled_faces(PHOTO, found(False, True, False), 32)
    assert list(faces) == ["face 0", "face 1 (left out)", "face 2"]
    assert [len(face.crop) for face in faces.values()] == [64, 32, 64]


def test_a_face_whose_landmarks_coincide_is_not_shown() -> None:
    result = found(True, points=np.zeros((5, 2), np.float32))
    assert labelled_faces(PHOTO, result, 32) == {}


def test_the_sheet_shows_faces_that_were_left_out(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", PHOTO, found(True))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    before = sheet[-MARGIN - FACE : -MARGIN, MARGIN : MARGIN + FACE].astype(int)
    after = sheet[-MARGIN - FACE : -MARGIN, 2 * MARGIN + FACE : 2 * MARGIN + 2 * FACE]
    assert np.abs(before - align(PHOTO, found(True).faces[0].face, FACE).crop * 255).max() < 1
    assert np.abs(before + after - 255).mean() < 1
    label = sheet[-MARGIN - FACE - LABEL : -MARGIN - FACE, MARGIN : MARGIN + FACE]
    assert label.min() == 0


def test_its_mark_takes_more_ink_than_the_number_alone(tmp_path: Path) -> None:
    ink = []
    for result in (found(False), found(True)):
        write_sheet(tmp_path / "sheet.png", PHOTO, replace(result, photo=PHOTO))
        sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
        label = sheet[-MARGIN - FACE - LABEL : -MARGIN - FACE, MARGIN : MARGIN + FACE]
        ink.append((label < 128).sum())
    assert ink[1] > 1.3 * ink[0]
