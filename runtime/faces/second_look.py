"""Examine faces that are not upright a second time, in a piece of the photo turned until they are.

Detector networks are trained on upright faces. They still find a face on its side or upside down, but locate
its landmarks badly, and often as if it were upright.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import PhotoError
from runtime.faces.align import TEMPLATES, crop_matrix, cut_out, inverted
from runtime.pixels import Matrix

Row = NDArray[np.float32]
"""15 numbers, in pixels: x0, y0, x1, y1, five landmarks (x, y), score."""
Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A detector network: H×W×3 RGB → N×15, a row for each face."""

SIDE = 320
"""Side in pixels of the piece for the second look."""
ROUGHLY, WELL = 100, 120
"""Side in pixels of the face in it, while its size is uncertain and once it is known. The first estimate may
be a third of the true size.
"""
PLAUSIBLE = 0.035
"""Largest distance of plausible landmarks from the template: root mean square, as a share of the crop's side.
The largest of 82 upright faces was 0.028.
"""
REFINEMENTS = 5
"""Largest number of looks that refine the turn once it is roughly known."""
UPRIGHT = 2.0
"""A face within this many degrees of upright needs no refinement."""
CONSISTENT = 45.0
"""A face that seems turned by more than this many degrees, in a piece that should show it upright, is
misdetected.
"""
SAME_TURN, SAME_SIZE = 5.0, 1.1
"""Two looks at a face agree if they differ by no more than this (in degrees, as a ratio)."""
NOISE = 0.03
"""Two upright looks whose scores differ by no more than this are equally good."""
LESS_SURE = 0.1
"""A look with plausible landmarks is preferred to a first look whose score is higher by less than this."""


@dataclass(frozen=True)
class Trust:
    """Which faces a detector network locates well at first sight."""

    turn: float
    """Largest turn from upright, in degrees."""
    score: float
    """Least score."""


@dataclass(frozen=True, eq=False)
class _View:
    """A detection of a face in its turned surroundings."""

    turn: float
    """Degrees by which they are turned, clockwise."""
    row: Row
    """In photo pixels."""

    @property
    def rest(self) -> float:
        """Return by how many more degrees the surroundings must be turned to make the face upright."""
        return _wrapped(turn_of(self.row) - self.turn)

    @property
    def score(self) -> float:
        """Return the detector's score, or a negative number if it does not see the face upright."""
        return float(self.row[14]) if abs(self.rest) <= CONSISTENT else -1.0


def second_look(photo: NDArray[np.uint8], row: Row, network: Network, trust: Trust) -> Row:
    """Return a face as first detected, or as detected upright if that is better.

    The identical row is returned if it can be trusted or the second look agrees with it.

    photo  H×W×3 RGB
    row    the face in photo pixels
    """
    guess = turn_of(row)
    if is_sure(row, trust) and abs(guess) <= trust.turn:
        return row
    seen = _rough_view(photo, row, network, trust)
    if seen is None:
        return row
    for _ in range(REFINEMENTS):
        if abs(seen.rest) <= UPRIGHT:
            break
        again = _view(photo, seen.row, turn_of(seen.row), network, WELL)
        if again is None or again.score < seen.score - NOISE:
            break
        seen = again
    lead = LESS_SURE if is_sure(seen.row, trust) else 0.0
    return seen.row if seen.score > row[14] - lead and not _is_as_good(row, seen.row) else row


def turn_of(row: Row) -> float:
    """Return by how many degrees the photo must be turned clockwise to make the face upright."""
    matrix = _to_template(row)
    return 0.0 if matrix is None else math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))


def is_sure(row: Row, trust: Trust) -> bool:
    """Return whether a face has a good score and plausible landmarks, whatever its turn."""
    return bool(row[14] >= trust.score) and _is_plausible(row)


def _is_plausible(row: Row) -> bool:
    matrix = _to_template(row)
    if matrix is None:
        return False
    away = row[4:14].reshape(5, 2) @ matrix[:, :2].T + matrix[:, 2] - TEMPLATES["published"]
    return float(np.sqrt((away**2).sum(axis=1).mean())) <= PLAUSIBLE


def moved(row: Row, matrix: Matrix) -> Row:
    """Transform a face by a similarity, such as a turn; its box stays tight."""
    points = row[4:14].reshape(5, 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.array([*_moved_box(row[:4], matrix), *points.ravel(), row[14]], np.float32)


def same_face(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of N boxes, N×4, share half of the smaller one's area with a box."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    area, areas = (np.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (box, others))
    return np.asarray(np.maximum(shared, 0).prod(axis=1) > 0.5 * np.minimum(area, areas), np.bool_)


def _rough_view(photo: NDArray[np.uint8], row: Row, network: Network, trust: Trust) -> _View | None:
    """Return the best view of a face: at its estimated turn, at quarter turns from it, or between those."""
    guess = turn_of(row)
    best: _View | None = None
    for more in ((0,), (90, 180, 270), (45, 135, 225, 315)):
        turned = (_view(photo, row, guess + degrees, network, ROUGHLY) for degrees in more)
        best = _best([best, *turned])
        if best and is_sure(best.row, trust):
            return best
    return best


def _best(views: Iterable[_View | None]) -> _View | None:
    upright = [view for view in views if view and view.score >= 0]
    return max(upright, key=lambda view: view.score, default=None)


def _view(photo: NDArray[np.uint8], row: Row, turn: float, network: Network, side: int) -> _View | None:
    """Return the detection of a row's face in a turned piece of the photo, or None.

    side  of the row's box in the piece, in pixels
    """
    x0, y0, x1, y1 = row[:4].tolist()
    to_photo = _piece((x0 + x1) / 2, (y0 + y1) / 2, turn, max(x1 - x0, y1 - y0) / side)
    piece = cut_out(photo, to_photo, SIDE, border=cv2.BORDER_CONSTANT)
    found = network(np.rint(255 * piece).astype(np.uint8))
    found = found[same_face(moved(row, inverted(to_photo))[:4], found[:, :4])]
    if not len(found):
        return None
    return _View(turn, moved(found[np.argmax(found[:, 14])], to_photo))


def _piece(x: float, y: float, turn: float, scale: float) -> Matrix:
    """Return the matrix piece → photo of a piece around (x, y), turned clockwise by some degrees.

    scale  photo pixels per pixel of the piece
    """
    c, s = scale * math.cos(math.radians(-turn)), scale * math.sin(math.radians(-turn))
    turned = np.array([[c, -s], [s, c]])
    return np.column_stack([turned, (x, y) - turned @ np.full(2, (SIDE - 1) / 2)])


def _moved_box(box: NDArray[np.float32], matrix: Matrix) -> list[float]:
    """Return the upright box around the ellipse that fills a box, transformed by a similarity."""
    middle = matrix[:, :2] @ ((box[:2] + box[2:]) / 2) + matrix[:, 2]
    half = np.hypot(*(matrix[:, :2] * ((box[2:] - box[:2]) / 2)).T)
    return [*(middle - half).tolist(), *(middle + half).tolist()]


def _is_as_good(row: Row, seen: Row) -> bool:
    """Return whether a first look agrees with an upright one and its landmarks are at least as plausible."""
    return _agree(row, seen) and (_is_plausible(row) or not _is_plausible(seen))


def _agree(row: Row, other: Row) -> bool:
    one, two = _to_template(row), _to_template(other)
    if one is None or two is None:
        return False
    ratio = np.hypot(*one[:, 0]) / np.hypot(*two[:, 0])
    turn = _wrapped(turn_of(row) - turn_of(other))
    return abs(turn) <= SAME_TURN and 1 / SAME_SIZE <= ratio <= SAME_SIZE


def _to_template(row: Row) -> Matrix | None:
    """Return the similarity that maps the landmarks to the template of size 1, or None."""
    try:
        return crop_matrix(row[4:14].reshape(5, 2), 1)
    except PhotoError:
        return None


def _wrapped(degrees: float) -> float:
    return (degrees + 180) % 360 - 180
