"""Place a mesh of 468 points on a face, with MediaPipe's face-landmark network.

Y. Kartynnik et al., "Real-time facial surface geometry from monocular video on mobile GPUs", 2019, arXiv
1907.06724; the weights are those of MediaPipe 0.10.21 (Apache-2.0). The network sees the face upright, in a
square that leaves room around it, and in ordinary light, since in green light it sees no face. If the
detector placed the face badly, the mesh shows that, and the network runs again on the face turned upright by
its own mesh.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from base.errors import PhotoError
from runtime.faces.align import crop_matrix, cut_quickly, inverted, joined, resizing, shift
from runtime.faces.face import Face
from runtime.faces.mesh import FaceMesh
from runtime.faces.tone import Tone, tone_of_crop
from runtime.onnx_session import open_network, run_network
from runtime.pixels import Pixels

BUNDLED = Path(__file__).parents[1] / "data" / "face_mesh.onnx"

SIDE = 192
"""Side of the network's input in pixels."""
POINTS = 468
ROOM = 0.90
MIDDLE = (0.5, 0.575)
"""Side and centre of what the network sees, in units of a crop of the published template. This is the square
around the mesh, enlarged by 1.5, that MediaPipe shows it (modules/face_landmark)."""
PRESENT = 0.0
"""Least score of a face, as a logit: a face is more likely than none."""
MISPLACED = 0.06
"""The network runs again on a face if its mesh lies this far from where it was expected: the root mean square
of the distances of the crop's corners, in units of its side."""
LOOKS = 3
"""Largest number of runs for a face."""
APART = 0.35
"""Largest distance between the five landmarks of the mesh and those of the detector, as a root mean square in
units of the distance from the eyes to the mouth. Beyond it, one of them has missed the face."""


def placed(face: Face, mesh: FaceMesh | None) -> Face:
    """Return a face whose landmarks are those of its mesh, if the detector's would align it differently."""
    if mesh is None or misplaced(np.asarray(face.landmarks, np.float64), mesh.landmarks) <= MISPLACED:
        return face
    return replace(face, landmarks=mesh.landmarks.astype(np.float32))


class MeshFinder(Protocol):
    """Places meshes on detected faces."""

    def find(self, photo: Pixels, landmarks: ArrayLike) -> FaceMesh | None:
        """Return the mesh of a face, in photo pixels; None if none fits the face.

        photo      H×W×3 uint8 or uint16 RGB
        landmarks  5×2, (x, y) in photo pixels: where a detector sees the face
        """
        ...


class MeshNetwork:
    """The bundled network in ONNX Runtime, on the CPU."""

    def __init__(self, threads: int | None = None) -> None:
        """Open the network. Raises BackendError if ONNX Runtime is missing."""
        self._session = open_network(BUNDLED, threads, what="the bundled face-landmark network")

    def find(self, photo: Pixels, landmarks: ArrayLike) -> FaceMesh | None:
        """Return the mesh of a face, in photo pixels; None if none fits the face.

        Raises BackendError if the network fails.
        """
        detected = expected = np.asarray(landmarks, np.float64)
        try:
            tone = _tone(photo, detected)
        except PhotoError:
            return None
        for _ in range(LOOKS):
            mesh = self._look(photo, expected, tone)
            if mesh is None or _apart(mesh.landmarks, detected) > APART:
                return None
            if misplaced(expected, mesh.landmarks) <= MISPLACED:
                return mesh
            expected = mesh.landmarks
        return None

    def _look(self, photo: Pixels, landmarks: NDArray[np.float64], tone: Tone) -> FaceMesh | None:
        """Return the mesh of a face expected at these landmarks; None if the network sees no face."""
        try:
            to_view = joined(_TO_VIEW, crop_matrix(landmarks, SIDE))
        except PhotoError:
            return None
        to_photo = inverted(to_view)
        view = tone.standard(cut_quickly(photo, to_photo, SIDE, border=cv2.BORDER_CONSTANT))
        batch = np.ascontiguousarray(view.transpose(2, 0, 1)[None])
        points, score = run_network(
            self._session, ["mesh", "presence"], {"crop": batch}, "the face-landmark network"
        )
        found = np.asarray(points, np.float64).reshape(POINTS, 3)
        if not (np.isfinite(found).all() and score.item() >= PRESENT):
            return None
        found[:, :2] -= 0.5  # the network counts from the corner of the first pixel
        return FaceMesh(found).moved(to_photo)


def _tone(photo: Pixels, landmarks: NDArray[np.float64]) -> Tone:
    """Return what brings a face to ordinary light. Raises PhotoError if its landmarks coincide."""
    to_crop = crop_matrix(landmarks, SIDE)
    crop = cut_quickly(photo, inverted(to_crop), SIDE)
    return tone_of_crop(crop, landmarks @ to_crop[:, :2].T + to_crop[:, 2])


def misplaced(expected: NDArray[np.float64], landmarks: NDArray[np.float64]) -> float:
    """Return how far a face lies from where it was expected, in units of a crop's side.

    It is the root mean square of the distances of the crop's corners; infinite if one of the two cannot be
    aligned.

    expected, landmarks  5×2, (x, y)
    """
    try:
        before, after = (crop_matrix(points, 1) for points in (expected, landmarks))
    except PhotoError:
        return math.inf
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    there = joined(before, inverted(after))
    away = corners @ there[:, :2].T + there[:, 2] - corners
    return float(np.sqrt((away**2).sum(axis=1).mean()))


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    unit = np.hypot(*(one[:2].mean(axis=0) - one[3:].mean(axis=0)))
    return float(np.sqrt(((one - other) ** 2).sum(axis=1).mean()) / max(unit, 1e-9))


_TO_VIEW = joined(
    resizing(1 / ROOM, 1 / ROOM), shift(*(ROOM / 2 * SIDE - SIDE * middle for middle in MIDDLE))
)
"""Crop of the published template, SIDE pixels wide → what the network sees."""
