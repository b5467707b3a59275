"""Make a restored face agree with its photo: blurred as the photo is, it must show what the photo shows.

A network that sharpens also sharpens what is soft in the scene, such as the edge of a shadow, and it makes
small errors in detail that blur hardly touches. The photo contradicts both. So the restored face is blurred
as much as the photo, and what then still differs, beyond the photo's noise, is added to it (iterative
back-projection: M. Irani and S. Peleg, "Improving resolution by image registration", CVGIP 53(3), 1991).
Detail that the photo has lost does not survive that blur, so the network's is kept.
"""

import cv2
import numpy as np

from runtime.finish.compose import in_colours
from runtime.finish.edges import power_around, strongest
from runtime.finish.fine_detail import local_gain
from runtime.finish.grain import middle
from runtime.finish.noise import MEDIAN, finest, wavelet
from runtime.pixels import LUMA, Map, Picture

BLURS = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
"""σ of blur in pixels that are tried."""

LEAST_BLURRED = 0.1
"""Quantile of the edges whose blur is the photo's. Others may be soft in the scene."""

AROUND = 9
"""Side of the square in which the blur of an edge is measured, in pixels."""

COARSE = 4.0
"""σ in pixels of what is not compared there, since the tone of an area is no sign of blur."""

STEPS = 2
"""Back-projections; more gain little, and bring noise back."""

UNEVEN = 2.0
"""Factor by which more noise is held back than the median says: after JPEG, or enlarged, it is uneven."""


def agreement(photo: Picture, restored: Picture, cover: Map | None = None) -> Picture:
    """Return what is to be added to a restored face to make it agree with its photo, H×W×3.

    photo, restored  H×W×3 in [0, 1], the face's crop in studio light, before and after
    cover            H×W in [0, 1]: what covers the face
    """
    blur = blur_of(photo, restored, cover)
    agreeing = restored
    for _ in range(STEPS):
        left = photo - _blurred(agreeing, blur)
        if cover is not None:
            left *= in_colours(1 - cover)
        agreeing = agreeing + _blurred(_without_noise(left), blur)
    return np.asarray(agreeing - restored, np.float32)


def blur_of(photo: Picture, restored: Picture, cover: Map | None = None) -> float:
    """Return the σ, in pixels, of the Gaussian that makes a restored face look like its photo; 0 for none.

    The arguments are those of `agreement`.
    """
    edges = strongest(power_around(finest(middle(restored))), None if cover is None else middle(cover))
    if not edges.any():
        return 0.0
    own, drawn = (
        np.asarray(cv2.transform(middle(picture), LUMA[None].astype(np.float32)), np.float32)
        for picture in (photo, restored)
    )
    unlike = np.stack([_detail_around(own - _blurred(drawn, blur))[edges] for blur in BLURS])
    return float(np.quantile(np.take(BLURS, unlike.argmin(axis=0)), LEAST_BLURRED))


def _detail_around(difference: Map) -> Map:
    detail = difference - _blurred(difference, COARSE)
    return np.asarray(cv2.blur(detail * detail, (AROUND, AROUND)), np.float32)


def _blurred(picture: Picture, sigma: float) -> Picture:
    if sigma == 0:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _without_noise(left: Picture) -> Picture:
    """Return what is certain of a difference; most of it is noise, whatever its cause.

    Its tone, in the smooth rest, stays the network's, since strong JPEG compression shifts that too.
    """
    *bands, _ = wavelet(left)
    certain = np.zeros_like(left)
    for band in bands:
        sigma = UNEVEN * np.median(np.abs(middle(band)), axis=(0, 1)) / MEDIAN
        certain += in_colours(local_gain(band, np.asarray(sigma, np.float32))) * band
    return certain
