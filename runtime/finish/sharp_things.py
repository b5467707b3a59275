"""Find what is sharp before a blurred face, as where the camera focused on a hand held before it.

The network, which sees blur, would sharpen that as well, and draw it too hard. So what is much finer than the
face keeps the photo's pixels, whatever the network draws. How fine a place is, is the amplitude of its finest
wavelet band divided by that of the second.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace
from runtime.faces.areas import Area, closed, disc, grown, softened
from runtime.faces.noise import wavelet
from runtime.faces.regions import FACE, GRID, crop_landmarks, enlarged, region_masks_of
from runtime.finish.drawn_over import MARGIN, SOFT, shrunk
from runtime.finish.edges import power_around
from runtime.finish.trust import FINE, reduced
from runtime.pixels import Crop, Map

NOISY = 1 / 255
"""σ of noise up to which sharp things are sought: what keeps its pixels keeps its noise."""
TELLING = 0.6
"""Share of the face, that with most detail, in which its own fineness is measured,"""
SOFTER = 0.4
"""as this quantile, so that what covers up to a third of the face does not count."""
BLURRED = 0.5
"""Fineness above which a face is not blurred. Clean portraits have 0.77 and more, blurred by 1.5 and 2.5
pixels 0.36 and 0.31."""
FINER = 2.0
"""A sharp thing is at least as fine as a sharp crop, and as this multiple of the face."""
OVER_MEDIAN = 4.0
"""Its finest band has at least this multiple of the face's median amplitude, which is noise or blocks."""
STRONG = 4 / 255
"""And at least this amplitude."""
PART_FINE, PART_STRONG = 0.67, 0.5
"""Places that touch it and have these shares of the fineness and of the amplitude belong to it."""
NARROWEST = 4.0
"""Half its least width in grid pixels, with the surroundings that its edges reach into. Single hairs, lashes
and specks are narrower."""
GAP = 3.0
"""Half the width of gaps that are closed, in grid pixels."""
LEAST, LEAST_FIRM = 0.006, 0.0012
"""Shares of the face that it takes, and that are certainly sharp, at least."""
INSIDE = 0.08
"""What it encloses belongs to it up to this share of the face, unless it is an eye behind glasses."""
DARK, TINTED = 0.55, 1.35
"""Brightness of a lens relative to the face, at least, and the largest ratio of that in two channels. Eyes
behind glasses have 0.62 and more, and up to 1.2; lenses of cameras and sunglasses 0.17 to 0.48."""
FRAME, MOST_FRAME = 15.0, 0.6
"""Distance from a lens, in grid pixels, at which its frame has ended but for this share: frames of glasses
take up 0.1 to 0.5 there, a camera's body 0.8 and more."""
NEAR = 6.0
"""Distance in grid pixels from the face at which it still counts as before it."""
KNOWN = 0.25
"""Degree from which a place is known to hold no information."""
EMPTY = 1e-5
"""Power below which a band counts as empty."""
WITHIN = 0.8
"""Share of a sharp place that lies in the face, from which one that covers its nose or mouth is a part of it.
Of own mouths and noses it is 0.92 and more, of a microphone before them 0.74, of a leaf 0.62."""


def find_sharp(aligned: AlignedFace, noise: NDArray[np.floating], known: Map | None = None) -> Map | None:
    """Return what is sharp before a blurred face: S×S, 1 where the photo's pixels stay, 0 elsewhere; soft
    between. None if nothing is, or if the face is not blurred, or is noisy.

    A part of the face itself may be sharp, as in a photo with little depth of field; it needs no sharpening
    either.

    noise  σ of the photo's noise in each channel, 3, in units of full scale
    known  S×S in [0, 1]: where the photo is known to hold no information, which is not looked at
    """
    if np.mean(noise) > NOISY:
        return None
    size = len(aligned.crop)
    crop = reduced(aligned.crop, min(aligned.scale, GRID / size))
    grid, masks = len(crop), region_masks_of(aligned)
    unit = grid / GRID
    face = shrunk(np.asarray(sum(masks[region] for region in FACE), np.float32), grid) > 0.5
    shown = face if known is None else face & (shrunk(known, grid) < KNOWN)
    if not shown.any():
        return None
    first, second = (np.maximum(power_around(band), 0) for band in wavelet(crop)[:2])
    fineness = np.sqrt(first / np.maximum(second, np.float32(EMPTY)))
    telling = shown & (second >= np.quantile(second[shown], 1 - TELLING))
    own = float(np.quantile(fineness[telling], SOFTER))
    if own > BLURRED:
        return None
    least = max(FINE[0], FINER * own)
    least_power = max(OVER_MEDIAN**2 * float(np.median(first[shown])), STRONG**2)
    near = grown(shown, NEAR * unit)
    firm = near & (fineness > least) & (first > least_power)
    if firm.sum() < LEAST_FIRM * face.sum():
        return None
    around = (fineness > PART_FINE * least) & (first > PART_STRONG**2 * least_power)
    eyes = (crop_landmarks(aligned)[:2] + 0.5) * (grid / size) - 0.5
    found, holes = _solid(around, INSIDE * float(face.sum()), eyes, unit)
    number, labels = cv2.connectedComponents(found.astype(np.uint8))
    shares = ((near, LEAST), (firm, LEAST_FIRM))
    enough = [np.bincount(labels[of], minlength=number) >= share * face.sum() for of, share in shares]
    found &= np.logical_and(*enough)[labels] & ~_lenses(holes, found, crop, face, unit)
    if not found.any():
        return None
    return enlarged(softened(found, (MARGIN + 2 * SOFT) * unit, SOFT * unit), size)


def without_own(sharp: Map, aligned: AlignedFace) -> Map | None:
    """Return what is sharp before a blurred face without the face's own sharp parts, such as eyes in focus;
    None if nothing is left.

    What covers an eye is taken for such a part, and so is what covers nose or mouth and lies within the face:
    a face that is partly sharp is left alone, since beside its own eyes the network would draw others.

    sharp  S×S, as `find_sharp` returns it
    """
    masks = region_masks_of(aligned)
    face = np.asarray(sum(masks[region] for region in FACE), np.float32) > 0.5
    number, labels = cv2.connectedComponents((sharp > 0).astype(np.uint8))
    across, down = np.clip(np.rint(crop_landmarks(aligned)).astype(int), 0, len(sharp) - 1).T
    covered = np.where(sharp[down, across] > 0.5, labels[down, across], 0)
    area = np.maximum(np.bincount(labels.ravel(), minlength=number), 1)
    within = np.bincount(labels[face], minlength=number) >= WITHIN * area
    own = np.zeros(number, bool)
    own[covered[:2]] = True
    own[covered[2:]] |= within[covered[2:]]
    left = np.where(own[labels], np.float32(0), sharp)
    return left if left.any() else None


def _solid(area: Area, largest: float, eyes: NDArray[np.floating], unit: float) -> tuple[Area, Area]:
    """Return an area with its gaps closed, its holes up to a size filled, and without its narrow parts; and
    those of the holes in which the eyes lie.

    eyes  2×2
    """
    whole = closed(area, GAP * unit)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~whole).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < largest
    seen = np.zeros(len(small), bool)
    across, down = np.clip(np.rint(eyes).astype(int), 0, len(area) - 1).T
    seen[labels[down, across]] = True
    hole = small[labels] & ~whole
    solid = cv2.morphologyEx((whole | hole).astype(np.uint8), cv2.MORPH_OPEN, disc(NARROWEST * unit)) > 0
    return solid, hole & seen[labels]


def _lenses(holes: Area, found: Area, crop: Crop, face: Area, unit: float) -> Area:
    """Return those of the holes that are lenses of glasses: in the face's colours, with a narrow frame."""
    number, labels = cv2.connectedComponents(holes.astype(np.uint8), connectivity=4)
    bare = face & ~found
    lenses = np.zeros_like(holes)
    for each in range(1, number if bare.any() else 1):
        hole = labels == each
        light = np.median(crop[hole], axis=0) / np.maximum(np.median(crop[bare], axis=0), np.float32(NOISY))
        ring = grown(hole, (FRAME + 1) * unit) & ~grown(hole, FRAME * unit)
        narrow = not ring.any() or found[ring].mean() < MOST_FRAME
        if narrow and light.min() > DARK and light.max() < TINTED * light.min():
            lenses |= hole
    return lenses
