"""Restore each face as far as it stays the same person: measure how far a restoration moves it, and find
where to stop.

A recogniser measures the distance between a face in the photo and its restoration. If it exceeds the bound,
the face stops earlier on the way from the photo to its full restoration. Hair, ears and the background hardly
identify a person, but hold nearly half of what a restoration gains; so they go first, and brows, eyes, nose,
mouth and skin follow as far as the bound allows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.face_work import FaceWork
from runtime.faces.align import AlignedFace, joined, resizing, similarity, warp
from runtime.faces.close_up import POINTS, SIDE, cut_close_up
from runtime.faces.face import Face
from runtime.faces.recognise import Descriptor, Recogniser, distance
from runtime.faces.regions import region_weights
from runtime.faces.sharpness import close_up_sharpness
from runtime.pixels import Crop, Map, Pixels, ramp

POOR = 0.2
"""Below this sharpness a photo is too poor to judge whom it shows. Portraits that are this blurred are as far
from their sharp originals, 0.47, as some people from each other.
"""
SURE = (0.3, 0.5)
"""Range of sharpness over which the bound is tightened: a face that is fully sharp may only change half as
much."""
AROUND = {"hair": 1.0, "ear": 1.0, "other": 1.0, "face": 0.0}
"""Regions that contribute little to a person's identity."""
AHEAD = 8.0
"""How much further these regions go than the rest of the face when it stops early."""
LOOKS = 7
"""Number of stops that are tried for a face; the last that is within the bound counts."""
LEAST = 1e-3
"""Faces that would get a smaller share are not pasted."""
NEAR = 0.95
"""The search stops once the distance reaches this share of the bound."""
ROUNDS = 3
"""How often faces are pasted again if the pasted result, with its neighbours, exceeds the bound; from then on
those that exceed it are not restored."""


@dataclass(frozen=True)
class Identity:
    """How far a face is from the photo's, as a recogniser sees it."""

    distance: float | None
    """0 is the same picture; from 0.6 on, the faces pass for two people. None if the photo is too poor."""
    limit: float | None
    """The largest allowed distance; None if there was no bound."""
    share: float
    """The share of the restoration at which the face stopped, 0…1; hair and background are further."""


@dataclass(frozen=True, eq=False)
class KnownFace:
    """A face as the photo shows it."""

    landmarks: NDArray[np.float32]
    """As detected, 5×2 in photo pixels: where every picture of it is compared."""
    close_up: Crop
    descriptor: Descriptor
    sharpness: float

    @property
    def is_poor(self) -> bool:
        """Whether the photo is too poor to judge whom it shows."""
        return self.sharpness < POOR

    def limit(self, bound: float) -> float:
        """Return the largest distance allowed: less than the bound in a sharp photo."""
        return bound * (1 - float(ramp(self.sharpness, *SURE)) / 2)


def know(recogniser: Recogniser, photo: Pixels, face: Face) -> KnownFace:
    """Return the descriptor and sharpness of a face in the photo, H×W×3 uint8 or uint16 RGB."""
    close_up = cut_close_up(photo, face.landmarks)
    return KnownFace(
        face.landmarks, close_up, recogniser.describe([close_up])[0], close_up_sharpness(close_up)
    )


def share_map(aligned: AlignedFace, share: float) -> Map:
    """Return the share of its restoration that each pixel of a crop gets, S×S in [0, 1], if the face stops
    early."""
    return _shares(share, np.clip(region_weights(aligned, AROUND), 0, 1))


def _shares(share: float, around: Map) -> Map:
    return np.asarray(share + (min(1.0, AHEAD * share) - share) * around, np.float32)


def within_bounds(
    recogniser: Recogniser,
    works: Mapping[int, FaceWork],
    known: Mapping[int, KnownFace],
    full: Pixels,
    paste: Callable[[Mapping[int, float]], Pixels],
) -> tuple[Pixels, dict[int, Identity]]:
    """Stop each face within its bound; return the photo, and the distance of each face.

    known  the faces as the photo shows them
    full   the photo with all faces fully restored
    paste  returns the photo with each face stopped at a share of its restoration, by index; 1 if unnamed
    """
    limits = {
        i: known[i].limit(work.settings.same_person)
        for i, work in works.items()
        if work.settings.same_person is not None
    }
    shares: dict[int, float] = {}
    pasted = full
    found = _distances(recogniser, works, known, full)
    beyond = [i for i in limits if found[i] > limits[i]]
    for i in beyond:
        shares[i] = _stop(
            recogniser, works[i], known[i], _close_up(full, works[i], known[i]), limits[i], found[i]
        )
    rounds = 0
    while beyond:
        pasted = paste(shares)
        rounds += 1
        found |= _distances(recogniser, {i: works[i] for i in shares}, known, pasted)
        beyond = [i for i in shares if found[i] > limits[i] and shares[i] > 0]
        for i in beyond:  # neighbouring faces, rounding, and finishing steps that look around
            shares[i] *= NEAR * limits[i] / found[i] if rounds < ROUNDS else 0.0
    return pasted, {
        i: Identity(None if known[i].is_poor else found[i], limits.get(i), shares.get(i, 1.0)) for i in works
    }


def _stop(
    recogniser: Recogniser, work: FaceWork, known: KnownFace, full: Crop, limit: float, far: float
) -> float:
    """Return the largest share of its restoration, of those tried, that leaves a face within a limit.

    full  the close-up of the full restoration, which is further than the limit: at the distance `far`
    """
    aligned = work.seen.aligned
    to_close_up = joined(similarity(known.landmarks, POINTS * SIDE), aligned.to_photo)
    around = warp(
        np.clip(region_weights(aligned, AROUND), 0, 1),
        to_close_up,
        (SIDE, SIDE),
        interpolation=cv2.INTER_LINEAR,
        border=cv2.BORDER_REPLICATE,
    )[..., None]
    low, high, distance_at_low, caution = 0.0, 1.0, 0.0, 1.0
    for _ in range(LOOKS):
        straight = low + caution * (high - low) * (NEAR * limit - distance_at_low) / (far - distance_at_low)
        share = float(np.clip(straight, low + 0.01 * (high - low), high - 0.1 * (high - low)))
        mixed = known.close_up + _shares(share, around) * (full - known.close_up)
        reached = distance(recogniser.describe([mixed])[0], known.descriptor)
        if reached > limit:  # distances rise steeply at first: each miss makes the next step bolder
            high, far, caution = share, reached, caution / 2
        else:
            low, distance_at_low, caution = share, reached, 1.0
            if reached >= NEAR * limit:
                break
    return low if low >= LEAST else 0.0


def _distances(
    recogniser: Recogniser, works: Mapping[int, FaceWork], known: Mapping[int, KnownFace], pasted: Pixels
) -> dict[int, float]:
    return {
        i: distance(recogniser.describe([_close_up(pasted, work, known[i])])[0], known[i].descriptor)
        for i, work in works.items()
    }


def _close_up(pasted: Pixels, work: FaceWork, known: KnownFace) -> Crop:
    enlarging = resizing(work.settings.upscale, work.settings.upscale)
    return cut_close_up(pasted, known.landmarks @ enlarging[:, :2].T + enlarging[:, 2])
