"""Parts of a face without any information, covered or blown out: find them, to keep them as they are.

A patch counts when it is large and either clipped at white, or so flat and so sharply bordered that nothing
in a photographed face looks like it, or still to the last level in a face full of noise, as a bar is that was
drawn on the photo. How flat and how sharply is judged by the face's own range, so that dark and faded photos
are like others. Shadows end softly and are left alone; hair, hats and backgrounds reach into a face from
outside, and are told by that. Whatever it is (sunglasses, a mask, a bar that somebody drew for privacy), it
is the photo's: its pixels stay. Filling it from the face around is for those who ask.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.faces.face import Face
from runtime.faces.regions import GRID, crop_landmarks, region_masks
from runtime.pixels import Map

Area = NDArray[np.bool_]
"""G×G."""

FACE = ("eye", "brow", "nose", "lip", "cheek", "forehead")
"""The regions of the face proper."""
FEATURES = ("eye", "brow", "nose", "lip")
"""Regions that hold what no filling can bring back."""
SMOOTH = 1.0  # σ in pixels of the grid: evens out the noise of a scan before flatness is judged
WINDOW = 5  # pixels of the grid that flatness is judged over
FLAT = 6.0  # levels of 255 that a flat window spans at most, in each channel
EVEN = 8.0  # levels that a constant patch may be off its own median
WHITE = 250.0  # least level of all channels where film or sensor is blown out
NEARLY_WHITE = 225.0  # least level of all channels at the soft edge of what is blown out
BRIGHT = 200.0  # least level of all channels of what may be a highlight, not quite blown out
LEAST_CONSTANT = 0.015  # least share of the face: a pupil or nostril is under 0.005
LEAST_WHITE = 0.03  # a flash's highlight on a forehead is under this
LEAST_GLARE = 0.045  # of eyes and brows: glare fills a spectacle lens
STEP = 30.0  # levels that a constant patch differs from what lies around it
USUAL = 180.0  # levels from dark to light in a usual portrait, of which all of these are
FAINTEST = 0.2  # of that range; a fainter face has no more contrast than the rounding to levels has
STILL = 0.6  # levels that a still pixel differs from those beside it, at most
AROUND = 25  # pixels of the grid in which still pixels are counted
MOSTLY = 0.65  # share of still pixels in what is drawn, more than in a block of JPEG; a mosaic has edges
SELDOM = 0.05  # share of still pixels in the smooth parts of a face that has noise
PLAIN = 24.0  # levels that a smooth part of a face spans at most
LEAST_PLAIN = 0.25  # share of the face that must be smooth for its noise to be known
OUTSIDE = 4  # pixels of the grid from a patch's edge to what lies around it
BRIDGE = 16  # pixels of the grid around a patch in which what has its colour belongs to it
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
LIGHT = 0.7  # of the face's median brightness: what is darker tells nothing of its skin
LEAST_SOURCE = 0.05  # share of the face that must tell what a hole may be filled with


@dataclass(frozen=True, eq=False)
class Missing:
    """Where a face holds no information."""

    hole: Map
    """S×S: 1 where there is none, inside and outside of the face, 0 where there is some; soft between."""
    share: float
    """Of the face proper, 0 to 1."""
    regions: tuple[str, ...]
    """Where it mostly lies, the most first."""
    cause: str
    """`covered`, `blown out` or both, in words."""
    fillable: Map
    """S×S: what of the hole may be filled, if that is asked for: all in the face but other faces, and eyes,
    brows, nostrils and mouth that are still there."""
    sources: Map
    """S×S: how much each pixel may tell of what is missing; 0 in the hole, little outside of the face."""


def find_missing(aligned: AlignedFace, others: Iterable[Face] = ()) -> Missing | None:
    """Return where a face holds no information; None where there is some everywhere.

    others  the photo's other faces
    """
    scene = _scene(aligned)
    white, constant = _white(scene), _constant(scene)
    patch = white | constant
    if not patch.any():
        return None
    size, unit = len(aligned.crop), scene.pixel
    hole = _softened(_grown(patch, MARGIN * unit), unit)
    fillable, sources = _fillable(scene, white, constant, _heads(aligned, others, len(patch)))
    parts = {region: float((mask * patch).sum()) for region, mask in scene.masks.items()}
    most = sorted(FACE, key=lambda region: -parts[region])
    total = sum(parts.values())
    causes = [name for name, there in (("covered", constant), ("blown out", white)) if there.any()]
    return Missing(
        hole=np.clip(_resized(hole, size), 0, 1),
        share=float((patch & scene.face).sum() / scene.face.sum()),
        regions=tuple(r for r in most if parts[r] > TELLING * total) or (most[0],),
        cause=" and ".join(causes),
        fillable=np.clip(_resized(fillable, size), 0, 1),
        sources=_resized(sources, size),
    )


def keep_missing(kappa: Map, missing: Missing | None, *, filled: bool = False) -> Map:
    """Return κ with all that is missing left to the photo, but what of it is filled."""
    if missing is None:
        return kappa
    kept = np.maximum(missing.hole - missing.fillable, 0) if filled else missing.hole
    return np.asarray(1 - (1 - kappa) * (1 - kept), np.float32)


def fill_missing(crop: NDArray[np.float32], missing: Missing) -> NDArray[np.float32]:
    """Return the crop with its holes filled smoothly from around them, by pull and push over a pyramid.

    S. J. Gortler et al., "The lumigraph", SIGGRAPH 1996, section 3.4: ever coarser pictures of what is known
    are made until nothing is unknown, and each fills the holes of the finer one. What is filled is smooth: it
    has the face's colours and shades, and leaves features to the network.

    crop  S×S×3 in [0, 1]; not changed
    """
    weight = missing.sources[..., None]
    filled = cv2.GaussianBlur(_spread(crop * weight, weight), (0, 0), len(crop) * FILL_BLUR)
    fillable = missing.fillable[..., None]
    return np.asarray(np.clip(crop + fillable * (filled - crop), 0, 1), np.float32)


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
    still: Map
    """Share of the pixels at each place that are still."""
    pixel: float
    """1, or less for a crop that is smaller than GRID."""
    darkest: float
    """Level that a fiftieth of the face is under."""
    contrast: float
    """Of the face, of that of a usual portrait, at most 1."""


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
    head = picture[every["other"] < 0.5].mean(axis=1)
    dark, light = np.quantile(head, (0.02, 0.98)).tolist() if head.size else (0.0, 255.0)
    return _Scene(
        picture=cv2.GaussianBlur(picture, (0, 0), SMOOTH * grid / GRID),
        masks=masks,
        face=face,
        inner=depth > INNER * width,
        features=masks["eye"] + masks["nose"] + masks["lip"] > 0.5,
        lenses=from_eyes <= LENS * width,
        still=_still(aligned.crop, grid),
        pixel=grid / GRID,
        darkest=dark,
        contrast=min(max((light - dark) / USUAL, FAINTEST), 1.0),
    )


def _still(crop: NDArray[np.float32], grid: int) -> Map:
    """Return, G×G, the share of a crop's pixels at each place that are still."""
    window = np.ones((3, 3), np.uint8)
    span = _greatest(cv2.dilate(crop, window) - cv2.erode(crop, window))
    still = (span <= np.float32(STILL / 255)).astype(np.float32)
    return np.asarray(cv2.resize(still, (grid, grid), interpolation=cv2.INTER_AREA), np.float32)


def _heads(aligned: AlignedFace, others: Iterable[Face], grid: int) -> Area:
    """Return where other heads lie in a crop."""
    found = np.zeros((grid, grid), bool)
    for other in others:
        landmarks = crop_landmarks(replace(aligned, face=other))
        on_grid = (landmarks + 0.5) * (grid / len(aligned.crop)) - 0.5
        found |= region_masks(on_grid, grid)["other"] < 0.5
    return found


def _fillable(scene: _Scene, white: Area, constant: Area, heads: Area) -> tuple[Map, Map]:
    """Return what may be filled, softly, and how much each pixel may tell of it: G×G both."""
    unit = scene.pixel
    # What covers takes its soft edge along; in what is blown out, features are dark islands.
    bright = -_greatest(-scene.picture) >= NEARLY_WHITE
    hole = _grown(constant, MARGIN * unit) | (_grown(white, MARGIN * unit) & bright)
    hole &= scene.face & ~heads
    features = np.asarray(sum(scene.masks[name] for name in FEATURES) > np.float32(0.5))
    beside = _grown(hole, 2 * SOFT * unit) | _grown(features, 2 * SOFT * unit) | heads
    brightness = scene.picture.mean(axis=2)
    telling = scene.face & ~beside
    if telling.any():  # neither hair nor a deep shadow is skin
        beside |= brightness < LIGHT * np.median(brightness[telling])
    sources = np.where(scene.face, 1, np.float32(ELSEWHERE)) * ~beside
    if (sources * scene.face).sum() < LEAST_SOURCE * scene.face.sum():
        return np.zeros_like(sources), sources
    kept = heads | (features & ~hole)
    border = np.maximum(_blurred(kept, SOFT / 2 * unit), kept.astype(np.float32))
    return _softened(hole, unit) * (1 - border), sources


def _softened(area: Area, unit: float) -> Map:
    """Return 1 in an area, falling to 0 around it."""
    return np.maximum(_blurred(_grown(area, 2 * SOFT * unit), SOFT * unit), area.astype(np.float32))


def _white(scene: _Scene) -> Area:
    """Return what is blown out."""
    found = np.zeros_like(scene.face)
    for patch in _pieces(-_greatest(-scene.picture) >= WHITE):
        glare = (patch & scene.lenses).sum() > 0.6 * (patch & scene.face).sum()
        if _is_large(patch, LEAST_GLARE if glare else LEAST_WHITE, scene):
            found |= patch
    return found


def _constant(scene: _Scene) -> Area:
    """Return what is covered by one colour, sharply bordered, or drawn on the photo."""
    reach = max(1, round(WINDOW * scene.pixel)) // 2 or 1
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    span = _greatest(cv2.dilate(scene.picture, window) - cv2.erode(scene.picture, window))
    flat, even, step = (scene.contrast * levels for levels in (FLAT, EVEN, STEP))
    found = _drawn(scene, span)
    for piece in _pieces(span <= flat):
        if (_grown(piece, reach) & scene.face).sum() < LEAST_CONSTANT * scene.face.sum():
            continue
        colour = np.median(scene.picture[piece], axis=0)
        if colour.min() >= WHITE:
            continue
        off = _greatest(np.abs(scene.picture - colour))
        # The edge of a flat window lies a little inside the patch.
        patch = _grown(piece & (off <= even), reach) & (off <= even)
        least = LEAST_WHITE if colour.min() >= BRIGHT else LEAST_CONSTANT
        if _is_large(patch, least, scene) and _is_bordered(patch, off, step, scene):
            found |= _grown(patch, reach) & (off <= step)
            found |= _grown(patch, BRIDGE * scene.pixel) & (off <= even)
    return found


def _drawn(scene: _Scene, span: Map) -> Area:
    """Return what is still, in a face whose other smooth parts are not.

    span  of the colours around each pixel
    """
    found = np.zeros_like(scene.face)
    reach = round(AROUND * scene.pixel / 2)
    still = cv2.blur(scene.still, (2 * reach + 1, 2 * reach + 1)) >= MOSTLY
    plain = scene.face & ~_grown(still, reach) & (span <= PLAIN * scene.contrast)
    if plain.sum() < LEAST_PLAIN * scene.face.sum() or scene.still[plain].mean() > SELDOM:
        return found
    for piece in _pieces(still & ~(-_greatest(-scene.picture) >= WHITE)):
        if _is_large(piece, LEAST_WHITE, scene):
            found |= piece | (_grown(piece, reach) & (scene.still > 0))
    return found


def _is_large(patch: Area, least: float, scene: _Scene) -> bool:
    """Return whether a patch takes this share of the face, and does not only reach in from outside."""
    enough = least * scene.face.sum()
    if (patch & scene.face).sum() < enough:
        return False
    dark = scene.picture[patch].max(axis=1).mean() < max(DARK, scene.darkest + 0.2 * USUAL * scene.contrast)
    spill, unlikely = (DARK_SPILL, scene.features) if dark else (SPILL, scene.inner)
    comes_from_outside = (patch & ~scene.face).sum() > spill * patch.sum()
    return not comes_from_outside or bool((patch & unlikely).sum() >= enough)


def _is_bordered(patch: Area, off: Map, step: float, scene: _Scene) -> bool:
    """Return whether the picture around a patch, in the face, is of another colour at once, by a step."""
    outside = OUTSIDE * scene.pixel
    ring = _grown(patch, outside + 1) & ~_grown(patch, outside) & scene.face
    return bool(ring.any() and (off[ring] >= step).mean() >= BORDERED)


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
