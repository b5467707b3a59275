"""Small and unusual faces take fewer passes, in the result too."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import Restorer
from runtime.faces.align import AlignedFace, align
from runtime.faces.face import Face
from runtime.faces.mesh import FaceMesh
from runtime.network.most_passes import FEW, most_passes
from runtime.network.schedule import MOST
from runtime.settings.presets import preset


def face_of(scale: float, yaw: float | None = None, nose: float = 0.5) -> AlignedFace:
    """A face in a grey photo, with a flat mesh turned by some degrees if one is wanted.

    nose  where it is across the crop, from 0 to 1
    """
    points = np.array([(0.39, 0.47), (0.6, 0.47), (nose, 0.6), (0.41, 0.72), (0.59, 0.72)]) * 256 * scale
    photo = np.full((round(256 * scale),) * 2 + (3,), 128, np.uint8)
    face = Face((0.0, 0.0, 256 * scale, 256 * scale), points.astype(np.float32), 1.0)
    aligned = align(photo, face, 256)
    if yaw is None:
        return aligned
    mesh = np.zeros((468, 3))
    mesh[454] = np.cos(np.radians(yaw)), 0, np.sin(np.radians(yaw))
    return replace(aligned, mesh=FaceMesh(mesh))


@pytest.mark.parametrize(
    ("aligned", "recognised", "monochrome", "passes"),
    [
        (face_of(1.0, 5.0), True, False, MOST),
        (face_of(0.6, 5.0), True, False, FEW),
        (face_of(0.3, 5.0), True, False, 1),
        (face_of(1.0, -45.0), True, False, 1),
        (face_of(1.0, 5.0, nose=0.45), True, False, 1),
        (face_of(1.0), False, False, 1),
        (face_of(1.0), True, False, MOST),
        (face_of(1.0), True, True, FEW),
        (face_of(0.3), True, True, 1),
    ],
)
def test_only_large_faces_in_colour_seen_from_the_front_take_all_passes(
    aligned: AlignedFace, recognised: bool, monochrome: bool, passes: int
) -> None:
    assert most_passes(aligned, recognised=recognised, monochrome=monochrome) == passes


@pytest.mark.parametrize(("rows", "passes"), [(30, MOST), (90, 1)])
def test_a_face_of_which_much_is_covered_takes_a_single_pass(rows: int, passes: int) -> None:
    cover = np.zeros((256, 256), np.float32)
    cover[-rows:] = 1
    assert most_passes(face_of(1.0), recognised=True, monochrome=False, cover=cover) == passes


def test_a_photo_in_grey_takes_two_passes(blurred: NDArray[np.uint8]) -> None:
    grey = np.repeat(blurred.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    with Restorer.open() as restorer:
        (face,) = restorer.restore(grey, preset("standard")).faces
    assert face.loop is not None
    assert face.loop.passes == FEW


def test_a_small_face_in_a_photo_takes_two_passes(blurred: NDArray[np.uint8]) -> None:
    wide, small = (
        cv2.resize(blurred, None, fx=size, fy=size, interpolation=cv2.INTER_AREA) for size in (1.4, 0.8)
    )
    with Restorer.open() as restorer:
        large, little = (restorer.restore(photo, preset("standard")).faces[0] for photo in (wide, small))
    assert large.loop is not None
    assert little.loop is not None
    assert (large.loop.passes, little.loop.passes) == (MOST, FEW)
    assert little.progress == pytest.approx(large.progress)
