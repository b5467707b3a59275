"""Segment a face into regions, with the face-parsing network of a package that has one.

ParseNet distinguishes the 19 classes of CelebAMask-HQ (Lee et al., "MaskGAN", CVPR 2020). Each pixel gets the
class with the highest score, and each class belongs to a region:

- eyebrows, nose, ears and hair are regions of their own; upper lip, lower lip and the open mouth are `lip`;
- skin is `forehead` above the eyes, judged by the landmarks, and `cheek` below;
- the network's eyes are the eyeballs, so `eye` adds a rim of skin for lids and lashes, and also glasses,
  because the weight is meant for the eye behind them;
- earrings belong to `ear`;
- hat, necklace, neck, clothes and background are `other`.

The head is pasted: everything except background, clothes and hat. The neck is included, because its skin must
match the face's.
"""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import PackageError
from engines.package import Package
from runtime.faces.align import AlignedFace
from runtime.faces.ellipsoids import Pose, head_pose
from runtime.faces.noise import B3_SPLINE
from runtime.faces.parsed import ParsedFace
from runtime.faces.regions import GRID, REGIONS, crop_landmarks, enlarged, region_masks
from runtime.onnx_session import open_network, run_network
from runtime.pixels import Map, smoothstep

Labels = NDArray[np.uint8]
"""G×G, an index into CLASSES or REGIONS for each pixel."""

CLASSES = {
    "background": "other",
    "skin": "cheek",
    "nose": "nose",
    "glasses": "eye",
    "left eye": "eye",
    "right eye": "eye",
    "left brow": "brow",
    "right brow": "brow",
    "left ear": "ear",
    "right ear": "ear",
    "mouth": "lip",
    "upper lip": "lip",
    "lower lip": "lip",
    "hair": "hair",
    "hat": "other",
    "earring": "ear",
    "necklace": "other",
    "neck": "other",
    "clothes": "other",
}
"""The network's classes, in the order of its scores, and the region of each; skin is divided later.

The order is that of CelebAMask-HQ's own label maps, as in GPEN (face_parse/face_parsing.py); other
face-parsing networks use other orders.
"""
NOT_PASTED = ("background", "clothes", "hat")
FACE_REGIONS = ("cheek", "forehead", "nose", "eye", "brow", "lip")
"""The classes in the middle of a face."""

FOREHEAD_ENDS = -0.1  # the boundary below the line of the eyes, in face units: between lids and brows
LID = 0.06  # how far lids and lashes extend beyond the eyeball, in face units
FEATHER = 0.04  # width of the paste mask's soft edge, which lies inside the head, in crops
OUTERMOST = 1.5  # grid pixels: even diagonally beside the background nothing is pasted
LEAST_FACE = 0.3  # share of the landmarks' face that must be classified as face,
MOST_FACE = 0.8  # and most of the whole crop that may be; otherwise the network's result is not plausible


class Parser(Protocol):
    """A segmenter of faces."""

    def parse(self, aligned: AlignedFace) -> ParsedFace | None:
        """Return the parts of a face; None if the result is not plausible as a face."""


class FaceParser:
    """A package's face-parsing network in ONNX Runtime, on the CPU."""

    def __init__(self, package: Package, *, threads: int | None = None) -> None:
        graph = package.manifest.graphs["parsing"]
        inputs, outputs = (
            [(port.name, *port.shape) for port in ports] for ports in (graph.inputs, graph.outputs)
        )
        self.size = int(side) if isinstance(side := inputs[0][-1], int) else 0
        square = (self.size, self.size)
        expected = [("crop", "batch", 3, *square)], [("scores", "batch", len(CLASSES), *square)]
        if (inputs, outputs) != expected or self.size.bit_count() != 1:
            raise PackageError(
                f"package {package.folder}: {graph.file} is not a face-parsing network of {len(CLASSES)} "
                "classes: add one with `python -m export parsing`"
            )
        self._session = open_network(package.graph("parsing"), threads, what="the face-parsing network")

    def parse(self, aligned: AlignedFace) -> ParsedFace | None:
        """Return the parts of a face; None if the result is not plausible as a face.

        Raises BackendError if the network fails.
        """
        return parsed_face(self.scores(aligned.crop), aligned)

    def scores(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each class's score at each pixel, 19×P×P, for a crop, S×S×3 in [0, 1]."""
        size = self.size
        shrinks = len(crop) > size
        picture = cv2.resize(
            crop, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[None] * 2 - 1, np.float32)
        (scores,) = run_network(self._session, ["scores"], {"crop": batch}, "the face-parsing network")
        return np.asarray(scores[0], np.float32)


def open_parser(package: Package, *, threads: int | None = None) -> FaceParser | None:
    """Open a package's face-parsing network; None if it has none.

    threads  number of CPU threads; None selects one per core

    Raises PackageError if the graph is another network, BackendError if it cannot run.
    """
    return FaceParser(package, threads=threads) if "parsing" in package.manifest.graphs else None


def parsed_face(scores: NDArray[np.float32], aligned: AlignedFace) -> ParsedFace | None:
    """Return the parts of a face; None if the scores are not plausible as a face.

    scores  19×P×P, P a power of two: each class's score in the face's crop
    """
    size, side = len(aligned.crop), scores.shape[-1]
    grid = min(size, side, GRID)
    if not np.isfinite(scores).all():
        return None
    landmarks = (crop_landmarks(aligned) + 0.5) * (grid / size) - 0.5
    blocks = scores.reshape(len(scores), grid, side // grid, grid, side // grid)
    classes = blocks.mean((2, 4)).argmax(0).astype(np.uint8)
    if not _makes_sense(classes, landmarks):
        return None
    labels = _regions(classes, head_pose(landmarks))
    return ParsedFace(
        {name: enlarged(_softened(labels == i), size) for i, name in enumerate(REGIONS)},
        enlarged(_paste_mask(classes), size),
    )


def _makes_sense(classes: Labels, landmarks: NDArray[np.float64]) -> bool:
    """Return whether the network finds a face at the landmarks, and not everywhere.

    landmarks  5×2, (x, y) in pixels of the classes
    """
    painted = region_masks(landmarks, len(classes))
    there = np.sum([painted[region] for region in FACE_REGIONS], axis=0) > 0.5
    seen = np.isin(np.array(list(CLASSES.values()))[classes], FACE_REGIONS)
    return bool(seen[there].sum() >= LEAST_FACE * there.sum() and seen.mean() <= MOST_FACE)


def _regions(classes: Labels, pose: Pose) -> Labels:
    """Return the index of each pixel's region."""
    labels = np.array([REGIONS.index(region) for region in CLASSES.values()], np.uint8)[classes]
    skin = classes == _class("skin")
    reach = 2 * round(LID * pose.unit) + 1
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    eyeballs = _among(classes, ("left eye", "right eye"))
    lids = cv2.dilate(eyeballs.astype(np.uint8), rim) > 0
    labels[skin & _above_eyes(pose, len(classes))] = REGIONS.index("forehead")
    labels[skin & lids] = REGIONS.index("eye")
    return labels


def _above_eyes(pose: Pose, grid: int) -> NDArray[np.bool_]:
    down = np.array([-pose.right[1], pose.right[0]])
    x, y = np.arange(grid), np.arange(grid)[:, None]
    eyes = pose.anchors["eyes"]
    return np.asarray(((x - eyes[0]) * down[0] + (y - eyes[1]) * down[1]) / pose.unit < FOREHEAD_ENDS)


def _softened(inside: NDArray[np.bool_]) -> Map:
    """Soften an outline. The taps are sixteenths, so the masks still sum to exactly 1."""
    taps = B3_SPLINE
    soft = cv2.sepFilter2D(inside.astype(np.float32), -1, taps, taps, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32)


def _paste_mask(classes: Labels) -> Map:
    head = ~_among(classes, NOT_PASTED)
    if head.all():
        return np.ones(classes.shape, np.float32)
    depth = cv2.distanceTransform(head.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(smoothstep((depth - OUTERMOST) / (FEATHER * len(classes))), np.float32)


def _among(classes: Labels, names: tuple[str, ...]) -> NDArray[np.bool_]:
    return np.isin(classes, [_class(name) for name in names])


def _class(name: str) -> int:
    return list(CLASSES).index(name)
