"""Find parts of a face without any information, covered or blown out, so that they can be kept.

A small network recognises covers (`covered.py`); blown-out areas are large and clipped at white. Hair, hats
and backgrounds reach into the face from outside and do not count. Whatever a cover is (sunglasses, a mask, a
bar or a mosaic for privacy, a hand), it belongs to the photo and its pixels are kept, unless the user asks
for it to be filled from the rest of the face.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.faces.areas import Area, blurred, closed, grown, regions_of, softened
from runtime.faces.covered import continued, covered_map
from runtime.faces.face import Face
from runtime.faces.regions import FACE, GRID, crop_landmarks, region_masks
from runtime.pixels import Map, least_channel, sum_of_channels

Cause = Literal["covered", "too-bright", "covered-and-too-bright"]
"""Why an area holds no information."""

FEATURES = ("eye", "brow", "nose", "lip")
"""Regions that filling cannot reconstruct."""
SMOOTH = 1.0  # σ in grid pixels: evens out the noise of a scan before flatness is judged
WHITE = 250.0  # lowest level of all channels at which film or sensor is blown out
NEARLY_WHITE = 225.0  # lowest level of all channels at the soft edge of a blown-out area
LEAST_WHITE = 0.03  # a flash's highlight on a forehead is below this
LEAST_GLARE = 0.045  # of eyes and brows: glare fills a spectacle lens
USUAL = 180.0  # levels from dark to light in a usual portrait
FAINTEST = (
    0.2  # lowest share of that range; in a fainter face contrast is no larger than the rounding to levels
)
SURE = 0.75  # probability of being covered in the core of a cover,
LEAST_COVER = 0.003  # which takes at least this share of the face,
LIKELY = 0.7  # probability on average in its inner part,
HALF = 0.5  # which has at least this,
POSSIBLE = 0.1  # and at its edge
GAP = 4  # half the width in grid pixels of a gap in a cover that is closed
INNER = 0.18  # share of the face's width; a patch that touches the outside must reach in farther
SPILL = 0.25  # if this share of a patch lies outside the face, it may have come from there
DARK = 60.0  # highest level of all channels of possible hair, a hat or a beard
DARK_SPILL = 0.02  # the same share for a dark patch; it counts if it covers eyes, nose or mouth
MARGIN = 4  # grid pixels by which a hole exceeds its patch, to include the patch's soft edge
SOFT = 2.0  # σ in grid pixels of the transition around a hole
ELSEWHERE = 0.01  # weight of a pixel outside the face as a source for filling
SPECK = 2e-4  # smallest share of the crop that is examined
LENS = 0.08  # share of the face's width by which spectacles extend beyond eyes and brows
FILL_BLUR = 1 / 64  # σ relative to the size of the crop: smooths the pyramid's steps
LIGHT = 0.7  # of the face's median brightness: darker pixels say nothing about its skin
LEAST_SOURCE = 0.05  # share of the face that must be usable as a source for filling


@dataclass(frozen=True, eq=False)
class Missing:
    """The areas of a face that hold no information."""

    hole: Map
    """S×S: 1 without information, inside and outside the face, 0 with information; soft between."""
    cover: Map | None
    """S×S: the part of the hole that something covers; None if nothing is covered, or almost the whole face.
    """
    share: float
    """Share of the face proper, 0 to 1."""
    regions: tuple[str, ...]
    """Regions with most of the missing area, largest first."""
    cause: Cause
    fillable: Map
    """S×S: the part of the hole that may be filled on request: everything in the face except other faces, and
    eyes, brows, nostrils and mouth that are still visible.
    """
    sources: Map
    """S×S: weight of each pixel as a source for filling; 0 in the hole, small outside the face."""


def find_missing(aligned: AlignedFace, others: Iterable[Face] = ()) -> Missing | None:
    """Return the areas of a face without information; None if there are none.

    others  the photo's other faces
    """
    scene = _scene(aligned)
    covered = continued(_covered(scene))
    white = _white(scene, covered)
    patch = white | covered
    if not patch.any():
        return None
    size, unit = len(aligned.crop), scene.pixel
    hole, cover = (
        softened(grown(area, MARGIN * unit), 2 * SOFT * unit, SOFT * unit) for area in (patch, covered)
    )
    seen = patch & (white | (scene.covered >= HALF))
    fillable, sources = _fillable(scene, white, seen & covered, _heads(aligned, others, len(patch)))
    return Missing(
        hole=np.clip(_resized(hole, size), 0, 1),
        cover=np.clip(_resized(cover, size), 0, 1) if covered.any() and fillable.any() else None,
        share=float((seen & scene.face).sum() / scene.face.sum()),
        regions=regions_of(seen, scene.masks),
        cause=_cause(bool(covered.any()), bool(white.any())),
        fillable=np.clip(_resized(fillable, size), 0, 1),
        sources=_resized(sources, size),
    )


def _cause(covered: bool, white: bool) -> Cause:
    if covered and white:
        return "covered-and-too-bright"
    return "covered" if covered else "too-bright"


def keep_missing(kappa: Map, missing: Missing | None, *, filled: bool = False) -> Map:
    """Return κ with all missing areas left to the photo, except those that are filled."""
    if missing is None:
        return kappa
    return left_alone(kappa, np.maximum(missing.hole - missing.fillable, 0) if filled else missing.hole)


def left_alone(kappa: Map, area: Map) -> Map:
    """Return κ, S×S, with an area, S×S in [0, 1], left to the photo."""
    return np.asarray(1 - (1 - kappa) * (1 - area), np.float32)


def fill_missing(crop: NDArray[np.float32], missing: Missing) -> NDArray[np.float32]:
    """Return the crop with its holes filled smoothly from around them, by pull and push over a pyramid.

    S. J. Gortler et al., "The lumigraph", SIGGRAPH 1996, section 3.4: known pixels are averaged into ever
    coarser pictures until nothing is unknown, then each picture fills the holes of the next finer one. The
    filling is smooth: it has the face's colours and shading, and leaves features to the network.

    crop  S×S×3 in [0, 1]; not changed
    """
    weight = missing.sources[..., None]
    filled = cv2.GaussianBlur(_spread(crop * weight, weight), (0, 0), len(crop) * FILL_BLUR)
    fillable = missing.fillable[..., None]
    return np.asarray(np.clip(crop + fillable * (filled - crop), 0, 1), np.float32)


@dataclass(frozen=True, eq=False)
class _Scene:
    """A crop prepared for the search: G×G with G at most GRID.

    What only a crop with bright or covered areas needs is computed when it is first used.
    """

    aligned: AlignedFace
    levels: NDArray[np.float32]
    """G×G×3, 0 to 255."""
    picture: NDArray[np.float32]
    """The same, denoised."""
    covered: Map
    """Probability of being covered."""

    @property
    def pixel(self) -> float:
        """1, or less for a crop smaller than GRID."""
        return len(self.levels) / GRID

    @cached_property
    def every(self) -> dict[str, Map]:
        """The masks of all regions."""
        grid, size = len(self.levels), len(self.aligned.crop)
        landmarks = (crop_landmarks(self.aligned) + 0.5) * (grid / size) - 0.5
        return region_masks(landmarks, grid)

    @cached_property
    def masks(self) -> dict[str, Map]:
        """Those of the regions in FACE."""
        return {region: self.every[region] for region in FACE}

    @cached_property
    def face(self) -> Area:
        """The face proper."""
        return np.asarray(sum(self.masks.values())) > 0.5

    @cached_property
    def width(self) -> float:
        """The width of the face in grid pixels."""
        return float(np.sqrt(self.face.sum()))

    @cached_property
    def inner(self) -> Area:
        """The part of the face far from its outline."""
        depth = cv2.distanceTransform(self.face.astype(np.uint8), cv2.DIST_L2, 3)
        return np.asarray(depth > INNER * self.width)

    @cached_property
    def features(self) -> Area:
        """Eyes, nose and mouth, where no hair grows."""
        return np.asarray(self.masks["eye"] + self.masks["nose"] + self.masks["lip"] > 0.5)

    @cached_property
    def lenses(self) -> Area:
        """Where spectacles lie."""
        not_eyes = self.masks["eye"] + self.masks["brow"] <= 0.5
        from_eyes = cv2.distanceTransform(not_eyes.astype(np.uint8), cv2.DIST_L2, 3)
        return np.asarray(from_eyes <= LENS * self.width)

    @cached_property
    def range(self) -> tuple[float, float]:
        """The 2nd and the 98th percentile of the head's levels."""
        head = sum_of_channels(self.levels[self.every["other"] < 0.5]) / 3
        dark, light = np.quantile(head, (0.02, 0.98)).tolist() if head.size else (0.0, 255.0)
        return dark, light

    @property
    def contrast(self) -> float:
        """Range of the face relative to that of a usual portrait, at most 1."""
        dark, light = self.range
        return min(max((light - dark) / USUAL, FAINTEST), 1.0)


def _scene(aligned: AlignedFace) -> _Scene:
    grid = min(len(aligned.crop), GRID)
    levels = cv2.resize(aligned.crop, (grid, grid), interpolation=cv2.INTER_AREA) * np.float32(255)
    picture = cv2.GaussianBlur(levels, (0, 0), SMOOTH * grid / GRID)
    return _Scene(aligned, levels, np.asarray(picture, np.float32), covered_map(aligned.crop, grid))


def _heads(aligned: AlignedFace, others: Iterable[Face], grid: int) -> Area:
    found = np.zeros((grid, grid), bool)
    for other in others:
        landmarks = crop_landmarks(replace(aligned, face=other))
        on_grid = (landmarks + 0.5) * (grid / len(aligned.crop)) - 0.5
        found |= region_masks(on_grid, grid)["other"] < 0.5
    return found


def _fillable(scene: _Scene, white: Area, covered: Area, heads: Area) -> tuple[Map, Map]:
    """Return the soft mask of what may be filled, and each pixel's weight as a source: G×G both."""
    unit = scene.pixel
    # A cover is filled with its soft edge; in blown-out areas the features are dark islands, which stay.
    bright = least_channel(scene.picture) >= NEARLY_WHITE
    hole = grown(covered, MARGIN * unit) | (grown(white, MARGIN * unit) & bright)
    hole &= scene.face & ~heads
    features = np.asarray(sum(scene.masks[name] for name in FEATURES) > np.float32(0.5))
    beside = grown(hole, 2 * SOFT * unit) | grown(features, 2 * SOFT * unit) | heads
    brightness = sum_of_channels(scene.picture) / 3
    telling = scene.face & ~beside
    if telling.any():  # neither hair nor a deep shadow is skin
        beside |= brightness < LIGHT * np.median(brightness[telling])
    sources = np.where(scene.face, 1, np.float32(ELSEWHERE)) * ~beside
    if (sources * scene.face).sum() < LEAST_SOURCE * scene.face.sum():
        return np.zeros_like(sources), sources
    kept = heads | (features & ~hole)
    border = np.maximum(blurred(kept, SOFT / 2 * unit), kept.astype(np.float32))
    return softened(hole, 2 * SOFT * unit, SOFT * unit) * (1 - border), sources


def _white(scene: _Scene, covered: Area) -> Area:
    found = np.zeros(scene.covered.shape, bool)
    for patch in _pieces(least_channel(scene.picture) >= WHITE):
        if not _is_in_face(patch, LEAST_WHITE, scene):
            continue
        glare = (patch & scene.lenses).sum() > 0.6 * (patch & scene.face).sum()
        if covered[patch].mean() < HALF and _is_large(patch, LEAST_GLARE if glare else LEAST_WHITE, scene):
            found |= patch
    return found


def _covered(scene: _Scene) -> Area:
    found = np.zeros(scene.covered.shape, bool)
    if not (scene.covered >= SURE).any():
        return found
    least = LEAST_COVER * scene.face.sum()
    possible = closed(scene.covered >= POSSIBLE, GAP * scene.pixel)
    for cover in _pieces(possible):
        inner = cover & (scene.covered >= HALF)
        core = inner & scene.face & (scene.covered >= SURE)
        if core.sum() >= least and scene.covered[inner].mean() >= LIKELY:
            found |= cover
    return found


def _is_in_face(patch: Area, least: float, scene: _Scene) -> bool:
    """Return whether a patch takes this share of the face."""
    return bool((patch & scene.face).sum() >= least * scene.face.sum())


def _is_large(patch: Area, least: float, scene: _Scene) -> bool:
    """Return whether a patch takes this share of the face, and does not merely reach in from outside."""
    if not _is_in_face(patch, least, scene):
        return False
    enough = least * scene.face.sum()
    dark = scene.picture[patch].max(axis=1).mean() < max(DARK, scene.range[0] + 0.2 * USUAL * scene.contrast)
    spill, unlikely = (DARK_SPILL, scene.features) if dark else (SPILL, scene.inner)
    comes_from_outside = (patch & ~scene.face).sum() > spill * patch.sum()
    return not comes_from_outside or bool((patch & unlikely).sum() >= enough)


def _pieces(area: Area) -> Iterator[Area]:
    """Yield the connected components of an area, without specks."""
    count, labels, sizes, _ = cv2.connectedComponentsWithStats(area.astype(np.uint8), connectivity=4)
    for i in range(1, count):
        if sizes[i, cv2.CC_STAT_AREA] > SPECK * area.size:
            yield labels == i


def _spread(colours: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each pixel's own colour, or its neighbours' where its weight is low.

    colours  H×W×3, times their weight
    weight   H×W×1, 0 to 1: the confidence in a pixel's own colour
    """
    height, width = weight.shape[:2]
    if min(height, width) > 1:
        half = (max(1, width // 2), max(1, height // 2))
        shrunk = cv2.resize(np.dstack([colours, weight]), half, interpolation=cv2.INTER_AREA)
        coarse = shrunk.reshape(half[1], half[0], 4).astype(np.float32)
        # One certain pixel of four makes the coarse one certain, so that holes are filled from nearby.
        coarse *= np.minimum(4, 1 / np.maximum(coarse[..., 3:], 1e-12))
        wide = cv2.resize(_spread(coarse[..., :3], coarse[..., 3:]), (width, height))
        around = np.asarray(wide.reshape(colours.shape), np.float32)
    else:
        around = np.asarray(colours / np.maximum(weight, 1e-12), np.float32)
    sure = np.minimum(weight, 1)
    own = colours / np.maximum(weight, 1e-12)
    return np.asarray(around + sure * (own - around), np.float32)


def _resized(picture: Map, size: int) -> Map:
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
