"""Parts of a face without any information, inked over or blown out: find them, and fill them plausibly.

A patch counts when it is large and either clipped at white, or so flat and so sharply bordered that nothing
in a photographed face looks like it. Shadows end softly and are left alone; hair, hats and backgrounds reach
into a face from outside, and are told by that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.align import AlignedFace
from runtime.regions import GRID, Map, crop_landmarks, region_masks

Area = NDArray[np.bool_]
"""G×G."""

FACE = ("eye", "brow", "nose", "lip", "cheek", "forehead")
"""The regions of the face proper."""
SMOOTH = 1.0  # σ in pixels of the grid: evens out the noise of a scan before flatness is judged
WINDOW = 5  # pixels of the grid that flatness is judged over
FLAT = 6.0  # levels of 255 that a flat window spans at most, in each channel
EVEN = 8.0  # levels that a constant patch may be off its own median
WHITE = 250.0  # least level of all channels where film or sensor is blown out
BRIGHT = 200.0  # least level of all channels of what may be a highlight, not quite blown out
LEAST_CONSTANT = 0.015  # least share of the face: a pupil or nostril is under 0.005
LEAST_WHITE = 0.03  # a flash's highlight on a forehead is under this
LEAST_GLARE = 0.045  # of eyes and brows: glare fills a spectacle lens
STEP = 30.0  # levels that a constant patch differs from what lies around it
OUTSIDE = 4  # pixels of the grid from a patch's edge to what lies around it
BORDERED = 0.7  # share of its outline that must be so sharp
INNER = 0.18  # share of the face's width; what reaches in from outside must reach farther in
SPILL = 0.25  # share of a patch that lies outside of the face: then it may come from there
DARK = 60.0  # greatest level of all channels of what may be hair, a hat or a beard
DARK_SPILL = 0.02  # the same share for a dark patch; it counts where it covers eyes, nose or mouth
MARGIN = 3  # pixels of the grid that a hole is larger than its patch, for the patch's soft edge
SOFT = 2.0  # σ in pixels of the grid of the transition around a hole
ELSEWHERE = 0.01  # how much a pixel outside of the face counts as a source of what is filled in
SPECK = 2e-4  # share of the crop that is too small to look at
LENS = 0.08  # share of the face's width that spectacles reach beyond eyes and brows
TELLING = 0.15  # share of what is missing that must lie in a region for it to be named
FILL_BLUR = 1 / 64  # σ over the size of the crop: takes the pyramid's steps away
KEPT = 0.1  # region weights below this keep ever more of the photo's own pixels, even in a hole


@dataclass(frozen=True, eq=False)
class Missing:
    """Where a face holds no information."""

    hole: Map
    """S×S: 1 where there is none, 0 where there is some; soft between."""
    share: float
    """Of the face proper, 0 to 1."""
    regions: tuple[str, ...]
    """Where it mostly lies, the most first."""
    cause: str
    """`covered`, `blown out` or both, in words."""
    sources: Map
    """S×S: how much each pixel may tell of what is missing; 0 in the hole, little outside of the face."""


def find_missing(aligned: AlignedFace) -> Missing | None:
    """Return where a face holds no information; None where there is some everywhere."""
    scene = _scene(aligned)
    white, constant = _white(scene), _constant(scene)
    patch = white | constant
    if not patch.any():
        return None
    size, unit = len(aligned.crop), scene.pixel
    inside = scene.face
    hole = _grown(patch, MARGIN * unit)
    soft = np.maximum(_blurred(_grown(hole, 2 * SOFT * unit), SOFT * unit), hole)
    soft *= _blurred(_grown(inside, 2 * SOFT * unit), SOFT * unit)
    sources = np.where(inside, 1, np.float32(ELSEWHERE)) * (soft < 0.5)
    parts = {region: float((mask * patch).sum()) for region, mask in scene.masks.items()}
    most = sorted(FACE, key=lambda region: -parts[region])
    total = sum(parts.values())
    causes = [name for name, there in (("covered", constant), ("blown out", white)) if there.any()]
    return Missing(
        hole=np.clip(_resized(soft, size), 0, 1),
        share=float((patch & inside).sum() / inside.sum()),
        regions=tuple(r for r in most if parts[r] > TELLING * total) or (most[0],),
        cause=" and ".join(causes),
        sources=_resized(sources.astype(np.float32), size),
    )


def fill_missing(crop: NDArray[np.float32], missing: Missing | None) -> NDArray[np.float32]:
    """Return the crop with its holes filled smoothly from around them, by pull and push over a pyramid.

    S. J. Gortler et al., "The lumigraph", SIGGRAPH 1996, section 3.4: ever coarser pictures of what is known
    are made until nothing is unknown, and each fills the holes of the finer one. What is filled is smooth: it
    has the face's colours and shades, and leaves features to the network.

    crop  S×S×3 in [0, 1]; not changed
    """
    if missing is None:
        return crop
    weight = (missing.sources * (missing.hole < 0.5))[..., None]
    filled = cv2.GaussianBlur(_spread(crop * weight, weight), (0, 0), len(crop) * FILL_BLUR)
    hole = missing.hole[..., None]
    return np.asarray(np.clip(crop + hole * (filled - crop), 0, 1), np.float32)


def without_missing(kappa: Map, rho: Map, missing: Missing | None) -> Map:
    """Return κ with nothing handed back in the holes, where the photo has nothing to give.

    Where ρ is 0 the user keeps the photo as it is, hole or not.
    """
    if missing is None:
        return kappa
    return np.asarray(kappa * (1 - missing.hole * np.clip(rho / np.float32(KEPT), 0, 1)), np.float32)


@dataclass(frozen=True, eq=False)
class _Scene:
    """A crop as it is searched: G×G with G at most GRID."""

    picture: NDArray[np.float32]
    """G×G×3, 0 to 255, its noise evened out."""
    masks: dict[str, Map]
    """Of the regions in FACE."""
    face: Area
    """The face proper."""
    inner: Area
    """What of it is far from its outline."""
    features: Area
    """Eyes, nose and mouth, where no hair grows."""
    lenses: Area
    """Where spectacles lie."""
    pixel: float
    """1, or less for a crop that is smaller than GRID."""


def _scene(aligned: AlignedFace) -> _Scene:
    size = len(aligned.crop)
    grid = min(size, GRID)
    picture = cv2.resize(aligned.crop, (grid, grid), interpolation=cv2.INTER_AREA) * np.float32(255)
    landmarks = (crop_landmarks(aligned) + 0.5) * (grid / size) - 0.5
    every = region_masks(landmarks, grid)
    masks = {region: every[region] for region in FACE}
    face = np.asarray(sum(masks.values())) > 0.5
    width = float(np.sqrt(face.sum()))
    depth = cv2.distanceTransform(face.astype(np.uint8), cv2.DIST_L2, 3)
    not_eyes = masks["eye"] + masks["brow"] <= 0.5
    from_eyes = cv2.distanceTransform(not_eyes.astype(np.uint8), cv2.DIST_L2, 3)
    return _Scene(
        picture=cv2.GaussianBlur(picture, (0, 0), SMOOTH * grid / GRID),
        masks=masks,
        face=face,
        inner=depth > INNER * width,
        features=masks["eye"] + masks["nose"] + masks["lip"] > 0.5,
        lenses=from_eyes <= LENS * width,
        pixel=grid / GRID,
    )


def _white(scene: _Scene) -> Area:
    """Return what is blown out."""
    found = np.zeros_like(scene.face)
    for patch in _pieces(-_greatest(-scene.picture) >= WHITE):
        glare = (patch & scene.lenses).sum() > 0.6 * (patch & scene.face).sum()
        if _is_large(patch, LEAST_GLARE if glare else LEAST_WHITE, scene):
            found |= patch & scene.face
    return found


def _constant(scene: _Scene) -> Area:
    """Return what is covered by one colour, sharply bordered."""
    reach = max(1, round(WINDOW * scene.pixel)) // 2 or 1
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    span = _greatest(cv2.dilate(scene.picture, window) - cv2.erode(scene.picture, window))
    found = np.zeros_like(scene.face)
    for piece in _pieces(span <= FLAT):
        if (_grown(piece, reach) & scene.face).sum() < LEAST_CONSTANT * scene.face.sum():
            continue
        colour = np.median(scene.picture[piece], axis=0)
        if colour.min() >= WHITE:
            continue
        off = _greatest(np.abs(scene.picture - colour))
        # The edge of a flat window lies a little inside the patch.
        patch = _grown(piece & (off <= EVEN), reach) & (off <= EVEN)
        least = LEAST_WHITE if colour.min() >= BRIGHT else LEAST_CONSTANT
        if _is_large(patch, least, scene) and _is_bordered(patch, off, scene):
            found |= _grown(patch, reach) & (off <= STEP) & scene.face
    return found


def _is_large(patch: Area, least: float, scene: _Scene) -> bool:
    """Return whether a patch takes this share of the face, and does not only reach in from outside."""
    enough = least * scene.face.sum()
    if (patch & scene.face).sum() < enough:
        return False
    dark = scene.picture[patch].max(axis=1).mean() < DARK
    spill, unlikely = (DARK_SPILL, scene.features) if dark else (SPILL, scene.inner)
    comes_from_outside = (patch & ~scene.face).sum() > spill * patch.sum()
    return not comes_from_outside or bool((patch & unlikely).sum() >= enough)


def _is_bordered(patch: Area, off: Map, scene: _Scene) -> bool:
    """Return whether the picture around a patch, in the face, is of another colour at once."""
    outside = OUTSIDE * scene.pixel
    ring = _grown(patch, outside + 1) & ~_grown(patch, outside) & scene.face
    return bool(ring.any() and (off[ring] >= STEP).mean() >= BORDERED)


def _pieces(area: Area) -> Iterator[Area]:
    """Yield the connected pieces of an area, without specks."""
    count, labels, sizes, _ = cv2.connectedComponentsWithStats(area.astype(np.uint8), connectivity=4)
    for i in range(1, count):
        if sizes[i, cv2.CC_STAT_AREA] > SPECK * area.size:
            yield labels == i


def _spread(colours: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for every pixel its own colour, or those around it.

    colours  H×W×3, times their weight
    weight   H×W×1, 0 to 1: how sure a pixel's own colour is
    """
    height, width = weight.shape[:2]
    if min(height, width) > 1:
        half = (max(1, width // 2), max(1, height // 2))
        shrunk = cv2.resize(np.dstack([colours, weight]), half, interpolation=cv2.INTER_AREA)
        coarse = shrunk.reshape(half[1], half[0], 4).astype(np.float32)
        # One sure pixel of four makes the coarse one sure: what fills a hole is as near as can be.
        coarse *= np.minimum(4, 1 / np.maximum(coarse[..., 3:], 1e-12))
        wide = cv2.resize(_spread(coarse[..., :3], coarse[..., 3:]), (width, height))
        around = np.asarray(wide.reshape(colours.shape), np.float32)
    else:
        around = np.asarray(colours / np.maximum(weight, 1e-12), np.float32)
    sure = np.minimum(weight, 1)
    own = colours / np.maximum(weight, 1e-12)
    return np.asarray(around + sure * (own - around), np.float32)


def _greatest(picture: NDArray[Any]) -> Map:
    """Return the greatest of three channels; NumPy is slow along so short an axis."""
    first, second, third = cv2.split(picture)
    return np.asarray(cv2.max(cv2.max(first, second), third), np.float32)


def _grown(area: Area, radius: float) -> Area:
    wide = 2 * max(1, round(radius)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    return cv2.dilate(area.astype(np.uint8), disc) > 0


def _blurred(area: Area, sigma: float) -> Map:
    return np.asarray(cv2.GaussianBlur(area.astype(np.float32), (0, 0), sigma), np.float32)


def _resized(picture: Map, size: int) -> Map:
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
