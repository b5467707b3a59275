"""Make a restored face agree with its photo: blurred as the photo is, it must show what the photo shows.

A network that sharpens also sharpens what is soft in the scene, such as the edge of a shadow, and it makes
small errors in detail that blur hardly touches. The photo contradicts both. So the restored face is blurred
as much as the photo, and what then still differs, beyond the photo's noise, is added to it (iterative
back-projection: M. Irani and S. Peleg, "Improving resolution by image registration", CVGIP 53(3), 1991).
Detail that the photo has lost does not survive that blur, so the network's is kept.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import middle
from runtime.faces.noise import FLAT, MEDIAN, finest, wavelet
from runtime.finish.compose import in_colours
from runtime.finish.edges import power_around, strongest
from runtime.finish.fine_detail import local_gain
from runtime.pixels import LUMA, Map, Picture

BLURS = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
"""σ of blur in pixels that are tried."""

LEAST_BLURRED = 0.1
"""Quantile of the edges whose blur is the photo's. Others may be soft in the scene."""

AROUND = 9
"""Side of the square in which the blur of an edge is measured, in pixels."""

COARSE = 4.0
"""σ in pixels of what is not compared there, since the tone of an area is no sign of blur."""

AS_ALIKE = 0.2
"""Of blurs that make an edge like the photo's, up to this share of the least difference more, the largest
counts: noise decides between them, and a blur that is taken for too small undoes what was sharpened.
"""

STEPS = 4
"""Back-projections; more gain little, and bring noise back."""

UNEVEN, SHARP_UNEVEN = 4.0, 1.5
"""Factors by which more noise is held back than plain places show: after JPEG, or enlarged, it is uneven. The
second is for a face that is known to be sharp, where a network's errors in detail are worse than some noise.
"""

ROUNDING = 0.3 / 255
"""σ of noise, in units of full scale, that is held back in any case: that of rounding to 8 bits."""


def agreement(photo: Picture, restored: Picture, cover: Map | None = None, *, sharp: float = 0.0) -> Picture:
    """Return what is to be added to a restored face to make it agree with its photo, H×W×3.

    photo, restored  H×W×3 in [0, 1], the face's crop in studio light, before and after
    cover            H×W in [0, 1]: what covers the face
    sharp            the degree to which the photo is known to be sharp, 0 to 1
    """
    blur = (1 - sharp) * blur_of(photo, restored, cover) if sharp < 1 else 0.0
    plain = _plain_places(restored)
    uneven = sharp * SHARP_UNEVEN + (1 - sharp) * UNEVEN
    agreeing = restored
    for _ in range(STEPS):
        left = photo - _blurred(agreeing, blur)
        if cover is not None:
            left *= in_colours(1 - cover)
        agreeing = agreeing + _blurred(_without_noise(left, plain, uneven), blur)
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
    alike = unlike <= (1 + AS_ALIKE) * unlike.min(axis=0)
    largest = len(BLURS) - 1 - alike[::-1].argmax(axis=0)
    return float(np.quantile(np.take(BLURS, largest), LEAST_BLURRED))


def _detail_around(difference: Map) -> Map:
    detail = difference - _blurred(difference, COARSE)
    return np.asarray(cv2.blur(detail * detail, (AROUND, AROUND)), np.float32)


def _blurred(picture: Picture, sigma: float) -> Picture:
    if sigma == 0:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _plain_places(restored: Picture) -> NDArray[np.bool_]:
    """Return where the middle of a restored face has least detail."""
    detail = cv2.blur(np.sum([power_around(middle(band)) for band in wavelet(restored)[:-1]], axis=0), (9, 9))
    return np.asarray(detail <= np.quantile(detail, FLAT))


def _without_noise(left: Picture, plain: NDArray[np.bool_], uneven: float) -> Picture:
    """Return what is certain of a difference: what exceeds the noise that plain places show, whatever its
    cause.

    Elsewhere most of a face may differ, as between the shadows of a blind. The tone of the smooth rest stays
    the network's, since strong JPEG compression shifts that too.
    """
    *bands, _ = wavelet(left)
    certain = np.zeros_like(left)
    for band in bands:
        sigma = uneven * np.median(np.abs(middle(band)[plain]), axis=0) / MEDIAN
        certain += in_colours(local_gain(band, np.asarray(np.maximum(sigma, ROUNDING), np.float32))) * band
    return certain
