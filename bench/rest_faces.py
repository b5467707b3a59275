"""Whether a restored face and what lies around it look alike: their noise, and the spread of their edges."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import PhotoError
from bench.report import Measure, Report, counted, table
from bench.rest_damage import Damage
from portraits.damage import Portrait
from runtime import Restorer, preset
from runtime.faces.align import AlignedFace, face_rectangle
from runtime.faces.head import head_shape
from runtime.finish.paste import warp_to_photo
from runtime.pixels import eight_bit
from runtime.rest.matching import Noise, noise_around

FINE, COARSE = 1.0, 2.0
"""σ in pixels of the two blurs in which edges are compared; the finer one is strong against noise."""
SHARPEST = 0.02
"""Share of a region's pixels that are taken for edges: those that are steepest in the undamaged photo."""
SHARP = 0.5
"""Least σ that is measured."""
FEWEST = 50
"""Pixels on edges that a region needs, to be measured."""


@dataclass(frozen=True)
class Match:
    """How far a face and its surroundings are apart in one restored photo, as factors; 1 is alike."""

    photo: str
    preset: str
    damage: str
    noise: float
    """The noise of one, of the other's; 1 where a face has more noise than what lies around it, but keeps no
    more of the photo's, or the reverse. A face's pores count as noise, and JPEG leaves more noise where there
    is more detail, so the noise differs in the photo too."""
    noise_before: float
    """The noise of one in the damaged photo, of the other's."""
    edges: float
    """How much more the edges of one are spread than the other's; NaN where one has no edges."""


def matches_of(
    restorer: Restorer, truth: Portrait, name: str, damage: Damage, presets: Iterable[str]
) -> Iterator[Match]:
    """Damage a photo, restore it with some presets, and compare its face with what lies around it.

    truth  H×W×3 uint8; its largest face is compared

    Raises PhotoError if it has none.
    """
    photo = damage(truth, 0)
    with restorer.prepare(photo) as prepared:
        for each in presets:
            result = prepared.restore(preset(each, scope="photo", budget=math.inf))
            face = next((face.aligned for face in result.faces if face.aligned), None)
            if face is None:
                raise PhotoError(f"{name} shows no face: give photos with a face and what lies around it")
            restored = eight_bit(result.photo)
            noise = noise_around(restored, photo, face)
            before = apart(noise.photo_face, noise.photo_around)
            edges = spread_apart(truth, restored, face)
            yield Match(name, each, damage.name, noise_apart(noise), before, edges)


def faces_report(restorer: Restorer, matches: list[Match]) -> Report:
    """Return the report on faces and what lies around them."""
    names = list(dict.fromkeys((match.preset, match.damage) for match in matches))

    def worst(value: Callable[[Match], float]) -> Callable[[tuple[str, str]], str]:
        return lambda name: f"{_worst(matches, name, value):.2f}"

    def measured(what: str, value: Callable[[Match], float]) -> Iterator[Measure]:
        for preset_name, damage in names:
            yield Measure(
                f"{what}, {preset_name}, {damage}", _worst(matches, (preset_name, damage), value), "×"
            )

    photos = len({match.photo for match in matches})
    noise, edges = (
        max(_worst(matches, name, value) for name in names)
        for value in (lambda match: match.noise, lambda match: match.edges)
    )
    return Report(
        name="rest-faces",
        tables=(
            table(
                f"A face and what lies around it, apart by a factor; the worst of {counted(photos, 'photo')}",
                names,
                {
                    "preset": lambda name: name[0],
                    "damage": lambda name: name[1],
                    "noise in the photo": worst(lambda match: match.noise_before),
                    "noise": worst(lambda match: match.noise),
                    "edge spread": worst(lambda match: match.edges),
                },
            ),
        ),
        summary="Faces and what lies around them have the same noise, or keep the same share of the photo's, "
        f"within {noise:.2f}, and their edges are spread alike within {edges:.2f}.",
        figures={"matches": [vars(match) for match in matches]},
        measures=(
            *measured("noise", lambda match: match.noise),
            *measured("edge spread", lambda match: match.edges),
        ),
        conditions={"photos": photos, "package": restorer.package.manifest.name},
    )


def _worst(matches: Iterable[Match], name: tuple[str, str], value: Callable[[Match], float]) -> float:
    values = [value(match) for match in matches if (match.preset, match.damage) == name]
    return max((each for each in values if not math.isnan(each)), default=math.nan)


def noise_apart(noise: Noise) -> float:
    """Return by which factor a face has more or less noise than what lies around it, and keeps more or less
    of the photo's noise: the smaller of the two factors, and 1 if they disagree."""
    has, keeps = noise.face / noise.around, noise.face_kept / noise.around_kept
    return min(apart(has, 1), apart(keeps, 1)) if (has > 1) == (keeps > 1) else 1.0


def apart(a: float, b: float) -> float:
    """Return the factor between two positive numbers, at least 1."""
    return max(a / b, b / a)


def spread_apart(truth: Portrait, restored: Portrait, face: AlignedFace) -> float:
    """Return by which factor more the edges of a face or of its surroundings have spread than the other's.

    Edges are measured against the undamaged photo, because what lies around a face is often out of focus.
    """
    spreads = [(edge_spread(restored, edges), edge_spread(truth, edges)) for edges in _edges(truth, face)]
    if len(spreads) < 2:
        return float("nan")
    (face_now, face_then), (rest_now, rest_then) = spreads
    return apart(face_now / face_then, rest_now / rest_then)


def edge_spread(picture: Portrait, edges: NDArray[np.bool_]) -> float:
    """Return the σ in pixels of a Gaussian that spreads ideal edges as the picture's are.

    The slope is measured over some pixels itself, which adds σ = 0.75.

    From the ratio of the slopes of two blurred copies: S. Zhuo and T. Sim, "Defocus map estimation from a
    single image", 2011.

    edges  where they are, H×W
    """
    fine, coarse = (float(_slope(picture, sigma)[edges].sum()) for sigma in (FINE, COARSE))
    ratio = max((fine / max(coarse, 1e-6)) ** 2, 1 + 1e-3)
    return float(np.sqrt(max(SHARP**2, (COARSE**2 - ratio * FINE**2) / (ratio - 1))))


def _edges(truth: Portrait, face: AlignedFace) -> Iterator[NDArray[np.bool_]]:
    """Yield where the edges of the head are, and those of what lies around it, if there are enough."""
    head = np.zeros(truth.shape[:2], np.float32)
    x0, y0, x1, y1 = face_rectangle(face, truth.shape)
    mask = face.parsed.mask if face.parsed else head_shape(face)
    head[y0:y1, x0:x1] = warp_to_photo(mask, face, (x0, y0, x1, y1))
    slope = _slope(truth, FINE)
    margin = round(3 * COARSE)  # no edge of the one is measured with the other's pixels
    around = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    for region in (head > 0.9, head < 0.1):
        inner = cv2.erode(region.astype(np.uint8), around) > 0
        if SHARPEST * inner.sum() >= FEWEST:
            yield inner & (slope >= np.quantile(slope[inner], 1 - SHARPEST))


def _slope(picture: Portrait, sigma: float) -> NDArray[np.float32]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
    return np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
