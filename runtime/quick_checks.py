"""Three quick checks of a restored face: hair transitions, skin highlights, pupils.

Each check finds its places in the photo, examines the same places in the restored face, and returns a verdict
such as a person would give after a close look.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.faces.areas import disc
from runtime.faces.noise import noise_sigma
from runtime.faces.regions import crop_landmarks, region_masks_of
from runtime.pixels import Crop, Map

Points = NDArray[np.float64]
"""N×2, (x, y) in crop pixels."""

SIDE = 512
"""Side of the compared crops in pixels; the lengths below are in these pixels."""
STRANDS = 3.0  # σ of the blur of hair that leaves outlines and locks, not single hairs
EDGES = 400  # largest number of hair edges that are examined
LEAST_EDGES = 20
REACH = 10.0  # length of an edge's profile to either side
FAINT = 6.0  # edges with a smaller step, in levels of 255, are ignored
SPOT = 0.1  # brightest share of forehead and of nose: the highlights
PORES = (0.6, 2.5)  # range of σ that contains skin texture
SHEEN = 4.0  # σ for finding highlights, wider than pores
IRIS = 0.093  # radius of an iris over the distance of the eyes: 5.9 mm of 63
LEAST_IRIS = 2.5  # radius in photo pixels below which an iris shows nothing
NOISY = 4.0  # levels of noise above which texture may be noise
SOFTER, HARDER = 1.35, 0.8  # edge width after over before
RINGS = 1.2  # reversal beside edges, after over before
EVEN, ROUGH = 0.5, 1.5  # highlight texture after over before
BARE = 4.0  # levels of structure below which an iris looks like a painted ring
RING, INVENTED = 0.5, 1.7  # iris structure after over before
# Gains that are always allowed for a blurred photo: the values of sharp portraits.
SHARP_EDGE = 2.0  # width of a sharp photo's hair edges
SHARP_REVERSAL = 0.5  # beside them
SHARP_TEXTURE = 2.0  # levels, in a sharp photo's highlights


@dataclass(frozen=True)
class Figure:
    """One measurement of the photo, of the restored photo and of a classic restoration."""

    before: float
    after: float
    classic: float

    @property
    def ratio(self) -> float:
        """Return after over before."""
        return self.after / max(self.before, 1e-6)

    @property
    def excess(self) -> float:
        """Return after over before, or over classic if that was higher: a restoration may gain that much."""
        return self.after / max(self.before, self.classic, 1e-6)


@dataclass(frozen=True)
class Finding:
    """The result of a check."""

    figures: dict[str, Figure]
    """By name with unit, most informative first."""
    good: bool | None
    """None if it could not be judged."""
    verdict: str


@dataclass(frozen=True, eq=False)
class Places:
    """The places that the checks examine; found in the photo, the same for all pictures."""

    edges: Points
    normals: Points
    """N×2, across each edge, length 1."""
    spots: NDArray[np.bool_]
    """S×S"""
    irises: Points
    """2×2"""
    radius: float
    """Of the irises."""


def find_places(aligned: AlignedFace, irises: tuple[Points, float] | None = None) -> Places:
    """Find the places in a face that was aligned with S = SIDE.

    irises  their centres, 2×2, and radius, in crop pixels; None looks for the darkest discs at the landmarks
    """
    grey = _grey(aligned.crop)
    landmarks = crop_landmarks(aligned)
    masks = region_masks_of(aligned)
    edges, normals = _edges(grey, masks["hair"])
    smooth = cv2.GaussianBlur(grey, (0, 0), SHEEN)
    spots = np.zeros(grey.shape, bool)
    for region in ("forehead", "nose"):
        there = cv2.erode((masks[region] > 0.9).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        if there.any():
            spots |= there & (smooth >= np.quantile(smooth[there], 1 - SPOT))
    if irises is None:
        radius = IRIS * float(np.hypot(*(landmarks[1] - landmarks[0])))
        irises = np.array([_darkest(grey, eye, radius) for eye in landmarks[:2]]), radius
    return Places(edges, normals, spots, *irises)


def check_face(places: Places, crops: tuple[Crop, Crop, Crop], scale: float) -> dict[str, Finding]:
    """Return the findings `hair`, `highlights` and `pupils` of a face.

    crops  before, after, and a classic restoration
    scale  photo pixels per crop pixel, in the original photo
    """

    def figure(measure: Callable[[Map], float]) -> Figure:
        return Figure(*(round(measure(_grey(crop)), 4) for crop in crops))

    noise = 255 * noise_sigma(crops[0])
    return {
        "hair": _hair(
            len(places.edges),
            figure(lambda grey: edge_width(grey, places)),
            figure(lambda grey: reversal(grey, places)),
        ),
        "highlights": _highlights(places, figure(lambda grey: texture(grey, places)), noise),
        "pupils": _pupils(places.radius * scale, figure(lambda grey: iris_structure(grey, places))),
    }


def edge_width(grey: Map, places: Places) -> float:
    """Return the median width of hair edges, in crop pixels: their step over their steepest slope."""
    width, _ = _profiles(grey, places)
    return float(np.median(width)) if len(width) else 0.0


def reversal(grey: Map, places: Places) -> float:
    """Return the reversal of brightness beside hair edges, relative to their step: large for a saw-tooth."""
    _, back = _profiles(grey, places)
    return float(np.mean(back)) if len(back) else 0.0


def texture(grey: Map, places: Places) -> float:
    """Return the standard deviation of skin texture inside the highlights, in levels; 0 in an even patch."""
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in PORES)
    return float((fine - coarse)[places.spots].std()) if places.spots.any() else 0.0


def iris_structure(grey: Map, places: Places) -> float:
    """Return the RMS of iris structure other than rings around the pupil, in levels; 0 for a single ring."""
    return float(np.mean([np.sqrt((rest**2).mean()) for rest in _off_rings(grey, places)]))


def _hair(count: int, width: Figure, back: Figure) -> Finding:
    figures = {"edge width, px of 512": width, "reversal beside edges, share of the step": back}
    if count < LEAST_EDGES or not width.before:
        return Finding(figures, None, "cannot be judged: no clear hair edges in the photo")
    if back.excess > RINGS and back.after > SHARP_REVERSAL:
        words = "saw-tooth: beside the edges brightness swings back"
    elif width.after < HARDER * min(width.before, width.classic) and width.after < SHARP_EDGE:
        words = "hard: edges are steeper than in the photo, as if cut out"
    elif width.ratio > SOFTER:
        words = "washed out: transitions are wider than in the photo"
    else:
        return Finding(figures, True, "good: transitions are soft, as in a photo")
    return Finding(figures, False, words)


def _highlights(places: Places, texture: Figure, noise: float) -> Finding:
    figures = {"texture in highlights, levels": texture}
    if not places.spots.any() or texture.before < 0.05:
        return Finding(figures, None, "cannot be judged: the photo has no texture in its highlights")
    if texture.ratio < EVEN:
        noisy = "; the photo is noisy, and part of it was noise" if noise > NOISY else ""
        return Finding(figures, False, f"waxen: most texture is gone, highlights are even patches{noisy}")
    if texture.excess > ROUGH and texture.after > SHARP_TEXTURE:
        return Finding(figures, False, "rough: more texture than in the photo, sharpened or invented")
    return Finding(figures, True, "good: highlights keep the skin's texture")


def _pupils(radius: float, structure: Figure) -> Finding:
    figures = {"structure in irises, levels": structure}
    if radius < LEAST_IRIS:
        words = f"cannot be judged: an iris is {2 * radius:.1f} pixels wide in the photo"
        return Finding(figures, None, words)
    if structure.ratio < RING:
        if structure.after < BARE:
            return Finding(figures, False, "a single ring: what was inside the irises is gone")
        return Finding(
            figures, False, "faded: most of what was inside the irises is gone, near a single ring"
        )
    if structure.excess > INVENTED:
        return Finding(
            figures, False, "invented: more inside the irises than the photo shows or classic finds"
        )
    return Finding(figures, True, "good: the irises keep their structure")


def _grey(crop: Crop) -> Map:
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) * np.float32(255), np.float32)


def _edges(grey: Map, hair: Map) -> tuple[Points, Points]:
    """Return the strongest edges of the hair, well apart, and the directions across them."""
    smooth = cv2.GaussianBlur(grey, (0, 0), STRANDS)
    slope_x, slope_y = (cv2.Scharr(smooth, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    slope = np.hypot(slope_x, slope_y)
    crest = slope >= cv2.dilate(slope, np.ones((7, 7), np.uint8))
    margin = int(REACH) + 2
    inside = np.zeros_like(crest)
    inside[margin:-margin, margin:-margin] = True
    y, x = np.nonzero(crest & inside & (hair > 0.5) & (slope > 1))
    strongest = np.argsort(-slope[y, x], kind="stable")[:EDGES]
    y, x = y[strongest], x[strongest]
    normals = np.stack([slope_x[y, x], slope_y[y, x]], axis=1) / slope[y, x][:, None]
    return np.stack([x, y], axis=1).astype(np.float64), normals.astype(np.float64)


def _profiles(grey: Map, places: Places) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return width and reversal of each edge that is not faint."""
    t = np.arange(-REACH, REACH + 0.25, 0.5)
    x, y = (places.edges[:, i, None] + places.normals[:, i, None] * t for i in (0, 1))
    if not len(x):
        return np.zeros(0), np.zeros(0)
    lines = cv2.remap(grey, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
    widths, backs = [], []
    for line in np.asarray(lines, np.float64):
        slope = np.diff(line)
        middle = len(slope) // 2
        near = slope[middle - 8 : middle + 8]
        steepest = middle - 8 + int(np.argmax(np.abs(near)))
        up = slope * np.sign(slope[steepest])
        end = steepest + int(np.argmax(np.append(up[steepest:], -1) <= 0))
        start = steepest - int(np.argmax(np.append(up[steepest::-1], -1) <= 0)) + 1
        step = up[start:end].sum()
        if step < FAINT:
            continue
        widths.append(0.5 * step / up[steepest])
        backs.append(
            -(up[end : end + 8].clip(max=0).sum() + up[max(0, start - 8) : start].clip(max=0).sum()) / step
        )
    return np.array(widths), np.array(backs)


def _darkest(grey: Map, eye: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    iris = disc(radius).astype(np.float32)
    mean = cv2.filter2D(grey, -1, iris / iris.sum())
    rows, columns = np.ogrid[:SIDE, :SIDE]
    near = np.hypot(columns - eye[0], rows - eye[1]) <= 1.2 * radius
    y, x = np.unravel_index(int(np.argmin(np.where(near, mean, np.inf))), grey.shape)
    return np.array([x, y], np.float64)


def _off_rings(grey: Map, places: Places) -> list[NDArray[np.float64]]:
    """Return each iris's pixels minus the mean of their ring, without those covered by the upper lid."""
    found = []
    angles = np.deg2rad(np.arange(-30, 211, 5))  # from the right past the bottom to the left
    radii = np.arange(1, 0.85 * places.radius, 0.5)
    for x, y in places.irises:
        columns = (x + radii[:, None] * np.cos(angles)).astype(np.float32)
        rows = (y + radii[:, None] * np.sin(angles)).astype(np.float32)
        disc = np.asarray(cv2.remap(grey, columns, rows, cv2.INTER_LINEAR), np.float64)
        found.append(disc - disc.mean(axis=1, keepdims=True))
    return found
