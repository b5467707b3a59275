"""Recognise faces: a recogniser turns each into a descriptor, and descriptors of the same person are close
together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError, SettingsError
from base.text import cause_of, one_line
from runtime.faces.align import similarity, warp
from runtime.faces.close_up import POINTS, SIDE
from runtime.onnx_session import open_network
from runtime.pixels import Crop

BUNDLED = Path(__file__).parent.parent / "data" / "recogniser.onnx"
"""dlib's face descriptor; see export/recogniser.py."""

ANOTHER = 0.6
"""Faces at this distance or more count as two people: dlib's threshold.

dlib's documentation of dnn_face_recognition_ex.cpp: 99.38 % right on Labeled Faces in the Wild.
"""
SFACE_ANOTHER = 1.128
"""SFace's threshold for the same: objdetect's documentation of FaceRecognizerSF in OpenCV."""
SFACE_SIDE = 112
SFACE_POINTS = (
    np.array(
        [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    )
    / SFACE_SIDE
)
"""Where SFace expects eyes, nose and mouth: objdetect/src/face_recognize.cpp in OpenCV."""

Descriptor = NDArray[np.float32]
"""A descriptor of a face. The distance of two faces is the length of the difference of their descriptors."""


@dataclass(frozen=True)
class Recogniser:
    """An open recogniser."""

    session: Any
    side: int
    """Side of its input in pixels."""
    from_close_up: NDArray[np.float64] | None
    """2×3, close-up → input; None if the input is the close-up itself. A little of SFace's lies outside."""
    scale: float | None
    """Length to which descriptors are scaled, so that distances of all recognisers are comparable; None does
    not scale them."""

    def describe(self, close_ups: Sequence[Crop]) -> NDArray[np.float32]:
        """Return the descriptor of each close-up, N×D. The closer the distance is to 0, the more alike.

        close_ups  each 150×150×3 in [0, 1], RGB
        """
        (input_,), (output, *_) = self.session.get_inputs(), self.session.get_outputs()
        shown = np.stack([self._shown(each) for each in close_ups]).transpose(0, 3, 1, 2)
        shown = np.ascontiguousarray(shown * np.float32(255), np.float32)
        at_once = 1 if input_.shape[0] == 1 else len(shown)
        parts = [shown[i : i + at_once] for i in range(0, len(shown), at_once)]
        found = np.concatenate([self.session.run([output.name], {input_.name: part})[0] for part in parts])
        found = found.reshape(len(shown), -1).astype(np.float32, copy=False)
        if self.scale is None:
            return found
        lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return np.asarray(found * (np.float32(self.scale) / lengths), np.float32)

    def _shown(self, close_up: Crop) -> Crop:
        if self.from_close_up is None:
            return close_up
        size = (self.side, self.side)
        return warp(close_up, self.from_close_up, size, border=cv2.BORDER_REFLECT)


def distance(one: Descriptor, other: Descriptor) -> float:
    """Return the distance of two faces: 0 for the same picture, ANOTHER or more for two people."""
    return float(np.linalg.norm(one - other))


def open_recogniser(model: Path | None = None, threads: int | None = None) -> Recogniser:
    """Open the bundled recogniser, or SFace from a user's .onnx file.

    Raises SettingsError for a file that is neither, and BackendError if ONNX Runtime is missing.
    """
    if model is None:
        return Recogniser(open_network(BUNDLED, threads, what="the face recogniser"), SIDE, None, None)
    name = one_line(model)
    if not model.is_file():
        raise SettingsError(f"the face recogniser {name} is not a file")
    wanted = "use face_recognition_sface_2021dec.onnx, or leave out --recogniser"
    try:
        session = open_network(model, threads, what="the face recogniser")
    except BackendError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        raise SettingsError(f"{name} is not a face recogniser: {wanted} ({cause_of(error)})") from error
    inputs = session.get_inputs()
    shape = list(inputs[0].shape[1:]) if len(inputs) == 1 else []
    if shape == [3, SIDE, SIDE]:
        return Recogniser(session, SIDE, None, None)
    if shape == [3, SFACE_SIDE, SFACE_SIDE]:
        return Recogniser(
            session, SFACE_SIDE, similarity(POINTS * SIDE, SFACE_POINTS * SFACE_SIDE), ANOTHER / SFACE_ANOTHER
        )
    raise SettingsError(f"{name} takes {shape}, not faces of 3×{SFACE_SIDE}×{SFACE_SIDE}: {wanted}")
