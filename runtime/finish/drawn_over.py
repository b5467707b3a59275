"""Find what lies in front of a face (a hand, a microphone, hair, food) and would be drawn over by the
network.

A network removes damage: noise, blur, blocks. Blur can only move a pixel's colour within the range of colours
around it, and noise only by its measured strength. Where the photo and the network's output differ by more
than that, in an area with edges, the photo shows something unknown to the network, and the photo's pixels are
kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, resizing
from runtime.faces.areas import Area, disc, grown, regions_of, softened, square_inside
from runtime.faces.contours import soft_outlines
from runtime.faces.mesh import CLOSED, LEFT_LID, RIGHT_LID
from runtime.faces.regions import FACE, GRID, enlarged, region_masks_of
from runtime.finish.trust import blocks
from runtime.pixels import Crop, Map, Picture, greatest_channel

SMOOTH = 1.2
"""σ in grid pixels by which both pictures are smoothed before they are compared."""
LEAST = 4.0
"""Difference in levels of 255 that a network may make in a perfect photo."""
PER_NOISE, PER_BLUR, PER_BLOCKS = 0.6, 3.0, 6.0
"""Further difference, in levels: for each level of the photo's noise, for each grid pixel of blur (σ), and
for clearly visible JPEG blocks."""
FIRM = 2.0
"""An area counts if it contains places with this multiple of the allowed difference,"""
LEAST_SHARE = 0.008
"""which cover at least this share of the face,"""
EDGE, EDGE_PER_NOISE = 4.0, 0.5
"""and if the median slope along its outline is at least this, in levels per pixel: without noise, and more
for each level of noise."""
MOST = 0.75
"""If more of the face differs, nothing lies in front of it: the network has drawn another face, or none."""
MOVED = 2.0
"""Grid pixels by which a network may move what is drawn."""
BLURS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""σ of blur in grid pixels that are tried."""
CONTOURS = 0.2
"""Share of the face, that with the steepest slopes, in which blur is measured."""
REACH = 10.0
"""Distance in grid pixels from such places at which an area ends."""
OPENED = 0.1
"""The network has opened closed eyes if at least this share of their lids differs."""
GAP, MARGIN, SOFT = 4.0, 2.0, 1.0
"""In grid pixels: width of the gaps that are closed in an area, how far it is grown, and σ of its edge."""


@dataclass(frozen=True, eq=False)
class Covered:
    """What covers a face."""

    area: Map
    """S×S: 1 where the photo's pixels stay, 0 elsewhere; soft between."""
    share: float
    """Share of the face, 0 to 1."""
    regions: tuple[str, ...]
    """Regions with most of the area, largest first."""
    opened: bool = False
    """Whether the network opened eyes that are closed, which are part of the area."""


def find_covered(
    aligned: AlignedFace, restored: Crop, noise: NDArray[np.floating], known: Map | None = None
) -> Covered | None:
    """Return what covers a face, and closed eyes that the network opens; None if there is neither.

    aligned   with the crop that the network saw, in its own tone
    restored  S×S×3 in [0, 1], the network's output in the same tone
    noise     σ of the photo's noise in each channel, 3, in units of full scale
    known     S×S in [0, 1]: where the photo is known to hold no information, which is not looked at
    """
    size = len(restored)
    grid = min(size, GRID)
    photo, drawn = (_levels(picture, grid) for picture in (aligned.crop, restored))
    masks = {
        region: shrunk(mask, grid) for region, mask in region_masks_of(aligned).items() if region in FACE
    }
    face = np.sum(list(masks.values()), axis=0) > 0.5
    if known is not None:
        face &= shrunk(known, grid) < 0.5
    if not face.any():
        return None
    drawn = drawn + np.median((photo - drawn)[face], axis=0)  # the tone of the whole face is no evidence
    strength = float(np.mean(noise)) * 255
    lids = closed_lids(aligned, grid) & face
    least = FIRM * (LEAST + PER_NOISE * strength)
    smooth, other = _smoothed(photo), _smoothed(drawn)
    beyond = _beyond(smooth, other)
    strange = (beyond > least) & face
    if strange.sum() < LEAST_SHARE * face.sum() and not (strange & lids).any():
        return None
    blur = _blur(photo, drawn, face)
    allowed = LEAST + PER_NOISE * strength + PER_BLUR * blur + PER_BLOCKS * blocks(photo / np.float32(255))
    unit = grid / GRID

    def suffices(firm: Area) -> bool:
        return bool((firm & face).sum() >= LEAST_SHARE * face.sum() or _opens(firm, lids))

    # Each shape contains the one before it, so that less is beyond what was drawn; the first two are quick.
    around = disc(MOVED * unit + 2 * blur)
    firm = beyond > FIRM * allowed
    for shape in (square_inside(around), around):
        if not suffices(firm):
            return None
        firm = _beyond(smooth, other, shape) > FIRM * allowed
    if not suffices(firm):
        return None
    # Around what is firm, any difference from what was drawn, blurred alike, belongs to the thing.
    alike = _beyond(smooth, _smoothed(cv2.GaussianBlur(drawn, (0, 0), blur))) if blur else beyond
    near = grown(firm, REACH * unit)
    slope = _slope(photo)
    found = np.zeros((grid, grid), bool)
    for area in _areas(near & (alike > allowed), GAP * unit):
        enough = (area & face & firm).sum() >= LEAST_SHARE * face.sum()
        if enough and _edge(area, slope) >= EDGE + EDGE_PER_NOISE * strength:
            found |= area
    opened = _opens(firm, lids)
    if opened:
        found |= lids
    share = float((found & face).sum() / face.sum())
    if not 0 < share <= MOST:
        return None
    soft = softened(found, (MARGIN + 2 * SOFT) * unit, SOFT * unit)
    return Covered(enlarged(soft, size), share, regions_of(found, masks), opened)


def closed_lids(aligned: AlignedFace, grid: int) -> Area:
    """Return the lids of closed eyes, G×G; nothing without a mesh."""
    lids = np.zeros((grid, grid), bool)
    if aligned.mesh is not None:
        factor = grid / len(aligned.crop)
        mesh = aligned.mesh.moved(resizing(factor, factor))
        for opening, outline in zip(mesh.openings, (LEFT_LID, RIGHT_LID), strict=True):
            if opening <= CLOSED:
                lids |= soft_outlines(mesh, (outline,), grid, MARGIN * grid / GRID, 1) > 0.5
    return lids


def _levels(picture: Picture, grid: int) -> Picture:
    small = shrunk(np.clip(picture, 0, 1), grid) * np.float32(255)
    return np.asarray(small, np.float32)


def shrunk(picture: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    """Return a picture S×S… as G×G…, averaged."""
    if len(picture) == grid:
        return picture
    return np.asarray(cv2.resize(picture, (grid, grid), interpolation=cv2.INTER_AREA), np.float32)


def _opens(firm: Area, lids: Area) -> bool:
    """Return whether the network opened closed eyes."""
    return bool((firm & lids).sum() > OPENED * max(lids.sum(), 1))


def _smoothed(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), SMOOTH), np.float32)


def _beyond(photo: Picture, drawn: Picture, around: NDArray[np.uint8] | None = None) -> Map:
    """Return how far the photo's colours lie outside the range of those drawn around them, in levels.

    photo, drawn  smoothed
    around        the shape in which they may have been drawn; None is the pixel itself
    """
    if around is None:
        return greatest_channel(cv2.absdiff(photo, drawn))
    high, low = cv2.dilate(drawn, around), cv2.erode(drawn, around)
    return np.maximum(greatest_channel(np.maximum(photo - high, low - photo)), 0)


def _blur(photo: Picture, drawn: Picture, face: Area) -> float:
    """Return σ of the blur, in grid pixels, that brings the drawn contours closest to the photo."""
    own, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (photo, drawn))
    slope = _slope(drawn)
    contours = face & (slope >= np.quantile(slope[face], 1 - CONTOURS))
    best, least, there = 0.0, np.inf, own[contours]
    for sigma in BLURS:
        blurred = cv2.GaussianBlur(other, (0, 0), sigma) if sigma else other
        # The median is not moved by what is covered, as long as most of the face is visible.
        difference = float(np.median(np.abs(there - blurred[contours])))
        if difference < 0.97 * least:
            best, least = sigma, difference
    return best


def _slope(picture: Picture) -> Map:
    """Return the steepest change of a channel, in levels per pixel."""
    steepest = np.zeros(picture.shape[:2], np.float32)
    for channel in cv2.split(picture):
        across, down = (cv2.Sobel(channel, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
        steepest = np.maximum(steepest, np.hypot(across, down))
    return np.asarray(cv2.GaussianBlur(steepest, (0, 0), 1), np.float32)


def _areas(found: Area, gap: float) -> Iterator[Area]:
    """Yield the connected areas, with gaps closed and holes filled."""
    closed = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_CLOSE, disc(gap / 2))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        area = np.zeros_like(closed)
        cv2.drawContours(area, [outline], -1, 1, cv2.FILLED)
        yield area > 0


def _edge(area: Area, slope: Map) -> float:
    """Return the median slope along the outline of an area."""
    outline = cv2.morphologyEx(area.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    return float(np.median(slope[outline])) if outline.any() else 0.0
