"""Keep monochrome photos monochrome (design §4): grey, sepia, selenium, cyanotype.

The colours of such a photo lie on one curve. The network gets a grey photo, its output is converted to grey,
and each grey is mapped back to the photo's colour for it. Grey photos stay grey to the last bit.

The test examines the surroundings of each face, so that a black-and-white portrait on a page of an album is
found too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, face_rectangle, surroundings
from runtime.faces.fine_lines import CONTRAST, fine_lines
from runtime.faces.regions import crop_landmarks, region_masks
from runtime.pixels import LUMA, Pixels, Rectangle, as_float, smoothstep

Colours = NDArray[np.float32]
"""…×3, RGB in [0, 1]."""

GRID = 64
"""Colours are compared in a picture of this size in pixels per side, in which noise has averaged out."""
SMOOTH = 4.0
"""σ in grid pixels of the Gaussian that removes noise from the distances to the curve: JPEG stores colours in
blocks of 16 pixels, 4 of the grid in a face as wide as a crop.
"""
FINE = 2.5
"""σ in grid pixels of the Gaussian whose result, subtracted from the colours, leaves their noise."""
SHARE = 0.9
"""The percentile of all pixels' distances that counts as a picture's distance from the curve."""
OFF_CURVE = 0.045
"""Largest distance of a monochrome picture, relative to the standard deviation of a channel along the curve.
The smallest of 67 colour portraits in any light is 0.066, and all but two are above 0.1.
"""
NOISY = 0.09
"""Largest distance if the colours are noisier, for example from JPEG."""
FAINTER = 0.8
"""Share of such noise that smoothing leaves at most; a third of it is typical. Real colours are off the curve
by at least as much as their fine part, and typically by twice as much.
"""
OFF_WHOLE_CURVE = 0.035
"""If the whole photo is this close to a curve, faces up to NOISY count as monochrome too: JPEG noise is
stronger in small faces.
"""
DEGREE = 5
"""Degree of the polynomials that a curve starts from; a cubic misses the dark end of a cyanotype."""
LARGEST = 1024
"""Size in pixels per side at which the curve is measured, at most."""
LEVELS = 256
"""Points of the curve."""
WIDTH = 0.8
"""σ in levels of the Gaussian that weights the pixels near a grey."""
SEEN = 0.1
"""Pixels, so weighted, from which a grey's own colours count; other greys are as far off the polynomial as
the nearest that have them."""
MEASURED = 256
"""Size in pixels per side at which a whole photo is compared with a curve."""
MOST_LINES = 0.4
"""Lines that are more than this share of a picture are noise, not scratches."""
STRAY = 4 / 255
"""Colours this far off the curve, or four times as far as usual, are not noise and stay."""
NEARLY_GREY = 1 / 255
"""The curve is grey if half of the pixels have no more colour than this."""
BORDER = 1 / 32
"""Width over which the noise of the colours fades out around restored areas, relative to the face's box."""


@dataclass(frozen=True, eq=False)
class Toning:
    """The curve that the colours of a monochrome picture lie on."""

    weights: NDArray[np.float32]
    """3: the grey of a colour is weights · colour + offset. It is close to the strongest channel's value."""
    offset: float
    curve: Colours
    """LEVELS×3: the colours of greys from 0 to 1."""
    stray: float
    """Distance of a colour from the curve, in [0, 1], above which it is not noise."""

    @property
    def is_grey(self) -> bool:
        """Return whether R = G = B throughout."""
        return self is GREY

    def grey(self, picture: Colours) -> Colours:
        """Convert a picture, H×W×3 in [0, 1], to grey: three equal channels."""
        grey = cv2.transform(picture, self.weights.reshape(1, 3)) + np.float32(self.offset)
        return np.asarray(cv2.merge([np.clip(grey, 0, 1)] * 3), np.float32)

    def coloured(self, grey: NDArray[np.float32]) -> Colours:
        """Return the colours of greys: H×W in [0, 1] → H×W×3."""
        place = np.clip(grey, 0, 1) * np.float32(LEVELS - 1)
        below = np.minimum(place.astype(np.int32), LEVELS - 2)
        share = (place - below)[..., None]
        return np.asarray(self.curve[below] * (1 - share) + self.curve[below + 1] * share, np.float32)


GREY = Toning(
    LUMA.astype(np.float32), 0.0, np.tile(np.linspace(0, 1, LEVELS, dtype=np.float32)[:, None], 3), 0.0
)


def find_tonings(photo: Pixels, faces: Mapping[int, AlignedFace]) -> dict[int, Toning]:
    """Return the tonings of those faces that are monochrome."""
    whole: float | None = None
    found = {}
    for i, face in faces.items():
        x0, y0, x1, y1 = face_rectangle(face, photo.shape)
        around = photo[y0:y1, x0:x1]
        if is_grey(around):
            found[i] = GREY
            continue
        off, noise = _off_curve(face.crop, face)
        limit = min(max(OFF_CURVE, FAINTER * noise), NOISY)
        if whole is None and limit < off <= NOISY:
            whole, _ = _off_curve(_reduced(photo, MEASURED))
        if off <= limit or (off <= NOISY and whole is not None and whole <= OFF_WHOLE_CURVE):
            found[i] = toning_of(as_float(around[_every(around, LARGEST)]))
    return found


def toning_of_photo(photo: Pixels) -> Toning | None:
    """Return the toning of a photo that is monochrome as a whole; None if it has colours, or is grey."""
    if is_grey(photo) or _off_curve(_reduced(photo, MEASURED))[0] > OFF_WHOLE_CURVE:
        return None
    return toning_of(as_float(photo[_every(photo, LARGEST)]))


def is_grey(pixels: Pixels) -> bool:
    """Return whether R = G = B in every pixel."""
    red, green, blue = (pixels[..., c] for c in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))


def in_grey(photo: Pixels, faces: Mapping[int, AlignedFace], tonings: Mapping[int, Toning]) -> Pixels:
    """Return the photo with its monochrome faces in grey; the photo itself if they already are."""
    toned = {i: toning for i, toning in tonings.items() if not toning.is_grey}
    if not toned:
        return photo
    grey = cast(Pixels, photo.copy())
    for i, toning in toned.items():
        x0, y0, x1, y1 = surroundings(faces[i].to_photo, len(faces[i].crop), photo.shape)
        grey[y0:y1, x0:x1] = all_in_grey(photo[y0:y1, x0:x1], toning)
    return grey


def all_in_grey(photo: Pixels, toning: Toning) -> Pixels:
    """Return a monochrome photo in grey, with its dtype."""
    grey = np.empty_like(photo)
    top = np.iinfo(photo.dtype).max
    for y in range(0, len(photo), GRID):  # in bands, so that floats need little memory
        rows = slice(y, y + GRID)
        grey[rows] = np.rint(toning.grey(as_float(photo[rows])) * top).astype(photo.dtype)
    return grey


def put_back(
    restored: Pixels,
    originals: Callable[[], tuple[Pixels, Pixels]],
    faces: Mapping[int, AlignedFace],
    tonings: Mapping[int, Toning],
    repaired: Mapping[int, Callable[[Rectangle], NDArray[np.bool_]]] | None = None,
) -> Pixels:
    """Return the photo with its restored faces in their original toning.

    restored   the restored photo, with its monochrome faces in grey; may be changed
    originals  returns two photos of the same size, which are not changed: from `in_grey`, and in the photo's
               own colours; not called if all is grey
    faces      all restored faces, in that photo's pixels
    tonings    of the monochrome faces
    repaired   returns, for faces with repairs, which pixels of a rectangle were repaired: their own colour is
               that of the damage
    """
    repaired = repaired or {}
    if all(toning.is_grey for toning in tonings.values()):
        for i in tonings:
            x0, y0, x1, y1 = face_rectangle(faces[i], restored.shape)
            restored[y0:y1, x0:x1] = restored[y0:y1, x0:x1, 1:2]
        return restored
    grey, photo = originals()
    # Where faces overlap, each is coloured from the photo, not from another's result.
    done = cast(Pixels, photo.copy())
    for i in sorted(faces, key=lambda i: i in tonings):  # monochrome wins where faces overlap
        x0, y0, x1, y1 = face_rectangle(faces[i], photo.shape)
        if x1 <= x0 or y1 <= y0:
            continue
        part = np.s_[y0:y1, x0:x1]
        if i not in tonings:
            done[part] = restored[part]
        elif tonings[i].is_grey:
            done[part] = restored[part][..., 1:2]
        else:
            repairs = repaired[i]((x0, y0, x1, y1)) if i in repaired else None
            done[part] = photo[part]
            colour(done[part], grey[part][..., 1], restored[part][..., 1], tonings[i], repairs)
    return done


def colour(
    photo: Pixels,
    before: NDArray[np.integer],
    after: NDArray[np.integer],
    toning: Toning,
    repaired: NDArray[np.bool_] | None = None,
) -> None:
    """Give pixels whose grey has changed the colour of their new grey, in place.

    Colours off the curve stay off it by as much, unless they are noise, or the colour of repaired damage.

    photo          H×W×3 in its own colours
    before, after  H×W, the greys
    repaired       H×W, where damage such as a scratch was filled
    """
    top = np.iinfo(photo.dtype).max
    changed = before != after
    side = 2 * max(1, round(BORDER * max(photo.shape[:2]))) + 1
    share = cv2.blur(changed.astype(np.float32), (side, side))
    inside = np.asarray(np.minimum(2 * share, 1), np.float32)
    for y in range(0, len(photo), GRID):
        rows = slice(y, y + GRID)
        old, new = (toning.coloured(as_float(greys[rows])) for greys in (before, after))
        off = as_float(photo[rows]) - old
        # The rounding of the photo and of its grey does not count as colour noise.
        off -= np.clip(off, -1 / np.float32(top), 1 / np.float32(top))
        far = np.sqrt((off * off).max(axis=2)) / np.float32(toning.stray)
        noise = inside[rows] * (1 - smoothstep(far - 1))
        if repaired is not None:
            noise = np.maximum(noise, repaired[rows])
        colours = np.rint(np.clip(new + off * (1 - noise)[..., None], 0, 1) * top)
        photo[rows] = np.where(changed[rows][..., None], colours.astype(photo.dtype), photo[rows])


def toning_of(picture: Colours) -> Toning:
    """Return the curve that the colours of a monochrome picture lie on: H×W×3 in [0, 1].

    It ends at the picture's darkest and lightest colours, because nothing beyond them is known.
    """
    colours = picture.reshape(-1, 3).astype(np.float64)
    if np.median(np.ptp(colours, axis=1)) <= NEARLY_GREY:
        return replace(GREY, stray=STRAY)
    luma = colours @ LUMA
    slope = ((colours - colours.mean(axis=0)) * (luma - luma.mean())[:, None]).mean(axis=0) / max(
        float(luma.var()), 1e-9
    )
    start = colours.mean(axis=0) - slope * luma.mean()
    strongest = int(np.argmax(slope))
    # The luma of a colour, by least squares with the eye's weights; then the strongest channel.
    weights = slope[strongest] * LUMA * slope / (LUMA @ slope**2)
    offset = float(start[strongest] - weights @ start)
    grey = colours @ weights + offset
    least, most = min(0.0, float(grey.min())), max(1.0, float(grey.max()))  # a bent curve may exceed 0 and 1
    weights, offset = weights / (most - least), (offset - least) / (most - least)
    grey = np.clip(colours @ weights + offset, 0, 1)
    fit = _fitted(grey, colours)
    off = colours - np.column_stack([np.polyval(c, grey) for c in fit])
    far = np.abs(off).max(axis=1)
    stray = max(STRAY, 4 * 1.4826 * float(np.median(far)))
    near = far <= np.where(_lines(picture).ravel(), NEARLY_GREY, 2 * stray)  # scratches would bend it
    # The lightest and darkest colours pass for scratches, but are all that is known of the curve's ends.
    near |= (far <= stray) & ((grey < grey[near].min()) | (grey > grey[near].max()))
    places = np.clip(np.linspace(0, 1, LEVELS), grey[near].min(), grey[near].max())
    beside = _local_means(grey[near], off[near], places)
    curve = np.column_stack([np.polyval(c, places) for c in fit]) + beside
    return Toning(weights.astype(np.float32), offset, np.clip(curve, 0, 1).astype(np.float32), stray)


def _local_means(
    grey: NDArray[np.float64], values: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of values, N×3, at LEVELS greys, from lines fitted to the pixels near each.

    The darkest and the lightest greys have neighbours on one side only, whose plain mean would be off.
    """
    level = np.rint(grey * (LEVELS - 1)).astype(int)
    count = np.bincount(level)
    sums = np.column_stack([np.bincount(level, column) for column in (grey, *values.T)])
    level, count = np.flatnonzero(count), count[count > 0]
    grey, values = np.split(sums[level] / count[:, None], [1], axis=1)

    away = (LEVELS - 1) * (grey.ravel() - places[:, None])
    weight = count * np.exp(-0.5 * (away / WIDTH) ** 2)
    seen = np.flatnonzero(weight.sum(axis=1) > SEEN)
    away, weight = away[seen], weight[seen]
    share = weight / weight.sum(axis=1, keepdims=True)
    aside = (share * away).sum(axis=1, keepdims=True)
    away -= aside
    spread = (share * away**2).sum(axis=1, keepdims=True) + 1 / weight.sum(axis=1, keepdims=True)
    lines = share @ values - aside / spread * ((share * away) @ values)  # level where pixels are few
    greys = np.arange(LEVELS)
    return np.column_stack([np.interp(greys, seen, line) for line in lines.T])


def _off_curve(picture: Colours, face: AlignedFace | None = None) -> tuple[float, float]:
    """Return the colours' distance from a smooth curve, and their noise, relative to a channel's deviation.

    Channels are measured separately: in coloured light one or two are faint, but as far off the curve as
    ever.

    face  the face that this is the crop of; its skin counts as much as everything else
    """
    small, clean = _without_lines(picture)
    colours = small.reshape(-1, 3)
    luma = colours @ LUMA
    if luma.std() < 1e-6:
        return np.inf, 0.0
    luma = (luma - luma.mean()) / luma.std()
    along = np.column_stack([np.polyval(c, luma) for c in _fitted(luma, colours)])
    off = ((colours - along) / np.maximum(along.std(axis=0), 1e-4)).reshape(small.shape)
    fine = off - _smoothed(off, clean, FINE)
    noise = float(np.sqrt(((fine**2) * clean).sum(axis=(0, 1)).max() / clean.sum()))
    relative = np.abs(_smoothed(off, clean, SMOOTH)).max(axis=2)
    found = float(np.quantile(relative, SHARE))
    if face is not None:
        masks = region_masks((crop_landmarks(face) + 0.5) * (GRID / len(face.crop)) - 0.5, GRID)
        inside = 1 - masks["other"] - masks["hair"] > 0.5
        if inside.any():
            found = max(found, float(np.quantile(relative[inside], SHARE)))
    return found, noise


def _lines(picture: Colours) -> NDArray[np.bool_]:
    """Return where thin, strong lines are, H×W: scratches have colours of their own.

    Nothing is returned if they are everywhere.
    """
    pixels = np.rint(255 * picture).astype(np.uint8)
    strength = np.maximum(*fine_lines(pixels, max(pixels.shape)))
    lines = cv2.dilate((strength > CONTRAST).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return lines if lines.mean() < MOST_LINES else np.zeros_like(lines)


def _without_lines(picture: Colours) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a picture at GRID×GRID×3 without lines, and the share of each pixel that is clean,
    GRID×GRID×1."""
    clean = 1 - _lines(picture).astype(np.float32)
    share = cv2.resize(clean, (GRID, GRID), interpolation=cv2.INTER_AREA)
    sums, whole = (
        cv2.resize(each, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.float64)
        for each in (picture * clean[..., None], picture)
    )
    weight = share[..., None].astype(np.float64)
    return np.where(weight > 0, sums / np.maximum(weight, 1e-6), whole), np.maximum(weight, 1e-6)


def _smoothed(values: NDArray[np.float64], weight: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return the Gaussian mean of values, H×W×3, with a weight for each pixel, H×W×1."""
    sums, total = (cv2.GaussianBlur(each, (0, 0), sigma) for each in (values * weight, weight))
    return np.asarray(sums / total[..., None], np.float64)


def _fitted(x: NDArray[np.float64], colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a polynomial of each channel over x, 3×6, highest power first, robust to outliers.

    P. J. Huber, "Robust estimation of a location parameter", 1964, by reweighted least squares.
    """
    powers = np.vander(x, DEGREE + 1)
    weight = np.ones(len(x))
    for _ in range(6):
        scaled = powers.T * weight
        fit = np.linalg.lstsq(scaled @ powers, scaled @ colours, rcond=None)[0]
        far = np.abs(colours - powers @ fit).max(axis=1)
        weight = 1 / np.maximum(1, far / max(1.5 * float(np.median(far)), 1e-5))
    return np.asarray(fit.T, np.float64)


def _every(pixels: Pixels, most: int) -> tuple[slice, slice]:
    """Return slices that pick at most that many pixels per side; an average could lie off the curve."""
    height, width = pixels.shape[:2]
    return np.s_[:: -(-height // most), :: -(-width // most)]


def _reduced(pixels: Pixels, side: int) -> Colours:
    """Reduce a picture to at most that many pixels per side, in [0, 1]."""
    height, width = pixels.shape[:2]
    factor = min(1.0, side / max(height, width))
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixels = cast(Pixels, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    return as_float(pixels)
