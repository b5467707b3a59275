"""Find the faces of a photo, from 24 pixels wide to as wide as the photo.

A detector network finds faces of about 30 to 400 pixels. So the photo is halved until it fits the network in
one piece, and searched for typical faces; a copy a quarter as large is searched for faces that fill the
photo. Finer copies are searched, tile by tile, only as long as nothing is found or some face found is still
small, as in a group photo. This keeps typical photos fast and bounds memory for any photo.
"""

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from runtime.faces.face import Face
from runtime.faces.second_look import Trust, is_sure, moved, same_face, second_look, turn_of
from runtime.onnx_session import open_network, run_network

Pixels = NDArray[np.uint8]
Candidates = NDArray[np.float32]
"""N×15, in pixels of the searched picture: x0, y0, x1, y1, five landmarks (x, y), score."""
Sightings = NDArray[np.float32]
"""N×16, in photo pixels: a candidate's columns, then its score times how well the network handles its size.
"""

BUNDLED = Path(__file__).parents[1] / "data" / "centerface.onnx"

TILE = 1088  # largest picture for the network, in pixels per side; a multiple of 32
OVERLAP = 128  # of neighbouring tiles: wider faces were found in one piece on a coarser copy
WELL_SEEN = (48.0, 300.0)  # face widths, in searched pixels, at which box and landmarks are most precise
FLAT = 8  # a tile whose values differ by less is empty


class Detector(Protocol):
    """A face detector."""

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        """Find the faces of a photo, H×W×3 uint8 RGB; the largest comes first."""
        ...


def open_detector(
    yunet: Path | None = None, threshold: float | None = None, *, threads: int | None = None
) -> Detector:
    """Open the bundled CenterFace, or the user's YuNet file if one is given.

    threshold  lowest score of a face, 0 to 1; None selects the network's default
    threads    CPU threads for CenterFace; None is one per core

    Raises SettingsError if the YuNet file is missing or foreign, BackendError if the bundled network cannot
    run.
    """
    if yunet is not None:
        return YuNetDetector(yunet) if threshold is None else YuNetDetector(yunet, threshold)
    given = {} if threshold is None else {"threshold": threshold}
    return CenterFaceDetector(threads=threads, **given)


class CenterFaceDetector:
    """CenterFace (Xu et al., 2019; Star-Clouds/CenterFace, MIT) in ONNX Runtime, on the CPU."""

    def __init__(self, threshold: float = 0.4, threads: int | None = None) -> None:
        self._session = open_network(BUNDLED, threads, what="the bundled face detector")
        self._threshold = threshold
        self._trust = Trust(turn=20, score=max(0.75, threshold))

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        """Find the faces of a photo, H×W×3 uint8 RGB; the largest comes first."""
        return search(pixels, self._candidates, self._trust)

    def _candidates(self, picture: Pixels) -> Candidates:
        height, width = picture.shape[:2]
        blank = np.zeros((1, 3, height + -height % 32, width + -width % 32), np.float32)
        blank[0, :, :height, :width] = picture.transpose(2, 0, 1)
        maps = ["heatmap", "scale", "offset", "landmarks"]
        heatmap, scale, offset, landmarks = run_network(
            self._session, maps, {"photo": blank}, "the face detector"
        )
        heat = heatmap[0, 0]
        peaks = (heat > self._threshold) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8)))
        row, column = np.nonzero(peaks)
        # The maps have a quarter of the picture's resolution; vertical comes before horizontal.
        high, wide = 4 * np.exp(scale[0, :, row, column].T)
        y = 4 * (row + 0.5 + offset[0, 0, row, column]) - high / 2
        x = 4 * (column + 0.5 + offset[0, 1, row, column]) - wide / 2
        points = landmarks[0, :, row, column]  # N×10, relative to the box
        found = np.empty((len(row), 15), np.float32)
        found[:, 0], found[:, 1], found[:, 2], found[:, 3] = x, y, x + wide, y + high
        found[:, 4:14:2] = x[:, None] + points[:, 1::2] * wide[:, None]
        found[:, 5:14:2] = y[:, None] + points[:, 0::2] * high[:, None]
        found[:, 14] = heat[row, column]
        return found


class YuNetDetector:
    """YuNet (Wu et al., 2023), from a user's .onnx file, in OpenCV."""

    def __init__(self, model: Path, threshold: float = 0.7) -> None:
        if not model.is_file():
            raise SettingsError(f"the face detector {model} is not a file")
        self._trust = Trust(turn=2, score=max(0.9, threshold))  # YuNet's scores and turns vary less
        self._turn = threading.Lock()  # OpenCV's network holds the size of the picture that it is given
        try:
            self._network = cv2.FaceDetectorYN.create(str(model), "", (32, 32), threshold)
            self._candidates(np.zeros((32, 32, 3), np.uint8))
        except (cv2.error, ValueError) as error:
            raise SettingsError(
                f"{model} is not a YuNet face detector: use face_detection_yunet_2023mar.onnx"
            ) from error

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        """Find the faces of a photo, H×W×3 uint8 RGB; the largest comes first."""
        return search(pixels, self._candidates, self._trust)

    def _candidates(self, picture: Pixels) -> Candidates:
        with self._turn:
            self._network.setInputSize(picture.shape[1::-1])
            _, found = self._network.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if found is None:
            return np.empty((0, 15), np.float32)
        faces = np.asarray(found, np.float32)
        faces[:, 2:4] += faces[:, 0:2]  # YuNet returns width and height
        return faces


def search(pixels: Pixels, candidates: Callable[[Pixels], Candidates], trust: Trust) -> tuple[Face, ...]:
    """Find the faces of a photo with a network that detects faces of medium size; the largest comes first.

    If most faces lie on their side or upside down, the photo is also searched turned. If no face is found, it
    is searched turned, but only coarsely.

    pixels      H×W×3 uint8 RGB
    candidates  the network: a picture of at most TILE×TILE → its detections; one face may occur twice
    trust       which faces the network locates well at first sight; the others are examined again, upright
    """

    def placed(found: Sightings) -> Sightings:
        return _merged(_looked_at_again(pixels, found, candidates, trust))

    def turned(turns: int, *, roughly: bool) -> Sightings:
        picture = np.ascontiguousarray(np.rot90(pixels, turns))
        found = _searched(picture, candidates, roughly=roughly)
        return placed(_turned_back(found, turns, pixels.shape))

    seen = placed(_searched(pixels, candidates))
    if not len(seen):
        found = np.concatenate([turned(turns, roughly=True) for turns in (1, 2, 3)])
        seen = _merged(found[[is_sure(row[:15], trust) for row in found]])
    elif turns := _common_turns(seen, trust):
        seen = _merged(seen, turned(turns, roughly=False))
    return _faces(seen, pixels.shape[:2])


def _looked_at_again(
    pixels: Pixels, seen: Sightings, candidates: Callable[[Pixels], Candidates], trust: Trust
) -> Sightings:
    again: Sightings = seen.copy()
    for i, first in enumerate(seen[:, :15]):
        second = second_look(pixels, first, candidates, trust)
        if second is not first:
            again[i] = *second, second[14]
    return again


def _common_turns(seen: Sightings, trust: Trust) -> int:
    """Return how many anticlockwise quarter turns make most faces of a photo upright.

    Uncertain faces do not count.
    """
    turns = [round(-turn_of(row) / 90) % 4 for row in seen[:, :15] if is_sure(row, trust)]
    return max(range(4), key=turns.count)


def _turned_back(seen: Sightings, turns: int, shape: tuple[int, ...]) -> Sightings:
    """Convert detections in a photo after anticlockwise quarter turns to the original photo's pixels.

    shape  of the photo
    """
    height, width = shape[:2]
    back = {
        1: np.array([[0, -1, width], [1, 0, 0]]),
        2: np.array([[-1, 0, width], [0, -1, height]]),
        3: np.array([[0, 1, 0], [-1, 0, height]]),
    }[turns]
    rows = [[*moved(row[:15], back), row[15]] for row in seen]
    return np.asarray(rows, np.float32).reshape(-1, 16)


def _searched(
    pixels: Pixels, candidates: Callable[[Pixels], Candidates], *, roughly: bool = False
) -> Sightings:
    """Search a photo without turning it; `roughly` skips the finer copies, which take most of the time."""
    copies = [pixels]
    while max(copies[-1].shape[:2]) > TILE and min(copies[-1].shape[:2]) > WELL_SEEN[0]:
        copies.append(_halved(copies[-1]))
    usual, shrink = copies[-1], 2.0 ** (len(copies) - 1)
    seen = _merged(_sightings(usual, shrink, candidates))
    if min(usual.shape[:2]) > WELL_SEEN[1]:
        overview = _halved(_halved(usual))
        seen = _merged(seen, _sightings(overview, 4 * shrink, candidates))
    if roughly:
        return seen
    for copy in copies[-2::-1]:
        if _well_seen(seen, shrink):
            break
        shrink /= 2
        seen = _merged(seen, _sightings(copy, shrink, candidates))
    if max(pixels.shape[:2]) <= TILE and not _well_seen(seen, shrink):
        height, width = pixels.shape[:2]
        doubled = np.asarray(
            cv2.resize(pixels, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC), np.uint8
        )
        seen = _merged(seen, _sightings(doubled, 0.5, candidates))
    return seen


def _halved(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    # OpenCV has a fast path for exact halving; losing an odd last row or column does not matter.
    return np.asarray(
        cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA), np.uint8
    )


def _well_seen(seen: Sightings, shrink: float) -> bool:
    """Return whether faces were found, and the smallest is large enough at this scale."""
    return len(seen) > 0 and float((seen[:, 2] - seen[:, 0]).min()) >= WELL_SEEN[0] * shrink


def _sightings(copy: Pixels, shrink: float, candidates: Callable[[Pixels], Candidates]) -> Sightings:
    """Search one copy of the photo, tile by tile; return the faces in photo pixels."""
    height, width = copy.shape[:2]
    tiled = max(height, width) > TILE
    seen = [np.empty((0, 16), np.float32)]
    for top, bottom in _spans(height):
        for left, right in _spans(width):
            tile = np.ascontiguousarray(copy[top:bottom, left:right])
            if int(tile.max()) - int(tile.min()) < FLAT:
                continue
            found = candidates(tile)
            wide = found[:, 2] - found[:, 0]
            kept = (wide > 0) & (found[:, 3] > found[:, 1])
            if tiled:
                # A face belongs to the tile that holds its centre, away from the cut.
                x, y = (found[:, 0] + found[:, 2]) / 2, (found[:, 1] + found[:, 3]) / 2
                margin = OVERLAP / 2
                kept &= (x >= (margin if left else 0)) & (
                    x < (right - left - (margin if right < width else 0))
                )
                kept &= (y >= (margin if top else 0)) & (
                    y < (bottom - top - (margin if bottom < height else 0))
                )
                kept &= wide <= OVERLAP
            found, wide = found[kept], wide[kept]
            found[:, 0:14:2] = shrink * (found[:, 0:14:2] + left)
            found[:, 1:14:2] = shrink * (found[:, 1:14:2] + top)
            fit = np.minimum(1, np.minimum(wide / WELL_SEEN[0], WELL_SEEN[1] / wide))
            seen.append(np.column_stack([found, found[:, 14] * fit]))
    return np.concatenate(seen)


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """Split a length into equal, overlapping spans of at most TILE."""
    count = max(1, math.ceil((length - OVERLAP) / (TILE - OVERLAP)))
    step = math.ceil((length - OVERLAP) / count)
    for start in range(0, count * step, step) if count > 1 else [0]:
        yield start, min(length, start + step + OVERLAP)


def _merged(*sightings: Sightings) -> Sightings:
    """Keep the best detection of each face: two are the same face if they share half of the smaller box."""
    seen = np.concatenate(sightings)
    seen = seen[np.argsort(-seen[:, 15], kind="stable")]
    kept: list[int] = []
    for i, box in enumerate(seen[:, :4]):
        if not same_face(box, seen[kept, :4]).any():
            kept.append(i)
    return seen[kept]


def _faces(seen: Sightings, shape: tuple[int, ...]) -> tuple[Face, ...]:
    """Convert the detections to faces whose boxes are clipped to the photo, the largest first."""
    height, width = shape
    faces = [
        Face(
            box=(max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)),
            landmarks=points.reshape(5, 2),
            score=score,
        )
        for (x0, y0, x1, y1), points, score in zip(
            seen[:, :4].tolist(), seen[:, 4:14], seen[:, 14].tolist(), strict=True
        )
    ]
    return tuple(sorted(faces, key=lambda face: face.width * face.height, reverse=True))
