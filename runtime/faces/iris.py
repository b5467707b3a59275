"""Locate the irises of a face, with MediaPipe's iris network.

A. Ablavatski et al., "Real-time pupil tracking from monocular video for digital puppetry", 2020, arXiv
2006.11341; the weights are those of MediaPipe 0.10.21 (Apache-2.0). The network has learned one eye; the
other is shown mirrored.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.mesh import FaceMesh
from runtime.onnx_session import open_network, run_network
from runtime.pixels import Crop, Matrix

BUNDLED = Path(__file__).parents[1] / "data" / "iris.onnx"

SIDE = 64
"""Side of the network's input in pixels."""
ROOM = 2.3
"""Side of what it sees, in widths of the eye (MediaPipe, iris_landmark_landmarks_to_roi.pbtxt)."""
CORNERS = ((33, 133), (362, 263))
"""Points of the mesh at the corners of the left and the right eye, from left to right."""


class IrisNetwork:
    """The bundled network in ONNX Runtime, on the CPU."""

    def __init__(self, threads: int | None = None) -> None:
        """Open the network. Raises BackendError if ONNX Runtime is missing."""
        self._session = open_network(BUNDLED, threads, what="the bundled iris network")

    def find(self, crop: Crop, mesh: FaceMesh) -> tuple[NDArray[np.float64], float]:
        """Return the centres of the left and the right iris, 2×2, (x, y), and their mean radius.

        All are in crop pixels.

        crop  S×S×3 in [0, 1]
        mesh  in crop pixels

        Raises BackendError if the network fails.
        """
        to_crop = [_view(mesh, *corners, mirrored=i == 1) for i, corners in enumerate(CORNERS)]
        views = [
            cv2.warpAffine(crop, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            for matrix in to_crop
        ]
        batch = np.ascontiguousarray(np.stack(views).transpose(0, 3, 1, 2), np.float32)
        (points,) = run_network(self._session, ["iris"], {"crop": batch}, "the iris network")
        centres, radii = [], []
        for matrix, iris in zip(to_crop, np.asarray(points, np.float64).reshape(2, 5, 3), strict=True):
            centre, *rim = (iris[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
            centres.append(centre)
            radii.append(np.hypot(*(np.array(rim) - centre).T).mean())
        return np.array(centres), float(np.mean(radii))


def _view(mesh: FaceMesh, left: int, right: int, *, mirrored: bool) -> Matrix:
    """Return the matrix from what the network sees of an eye to the picture."""
    start, end = mesh.outline((left, right))
    across = ROOM * (end - start) / SIDE
    turn = np.column_stack([-across if mirrored else across, (-across[1], across[0])])
    return np.column_stack([turn, (start + end) / 2 - turn @ np.full(2, (SIDE - 1) / 2)])
