"""Blend the border of a face at several scales: texture changes over a few pixels, brightness over many.

P. J. Burt and E. H. Adelson, "A multiresolution spline with application to image mosaics", ACM Transactions
on Graphics 2(4), 1983: each band of a Laplacian pyramid is blended with a mask as soft as the band is coarse.
Blending is linear, so it is applied to the change that the face makes, and only the difference from a plain
blend with the narrow mask is computed. That difference has no detail finer than the crop, so it is computed
in the crop, whatever the photo's size.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.finish.compose import repair_share
from runtime.pixels import Map, ramp

NARROW = (0.45, 0.8)
"""Where the narrow mask rises from 0 to 1, in widths of the feather from the crop's edge."""
WINDOW = (0.0, 0.4)
"""The same for the coarse bands, which reach further out; they must be 0 at the edge."""


def narrow_mask(size: int, feather: float) -> Map:
    """Return the mask of the finest band, S×S; `feather` is the border width of the plain mask in pixels."""
    return _rising(size, feather, *NARROW)


def coarse_blend(change: NDArray[np.float32], kappa: Map, feather: float) -> NDArray[np.float32]:
    """Return what blending at several scales adds to a blend with the narrow mask: S×S×3.

    The result is 0 on the crop's edge and where κ is 1, and nearly 0 wherever the coarsest mask is 1.

    change   S×S×3, the change that the face makes in its crop: (1 − κ) (r − x)
    kappa    S×S, the share that is left to the photo
    feather  width of the plain mask's border in pixels of the crop
    """
    size = len(change)
    mask = narrow_mask(size, feather)
    levels = max(1, int(math.log2(feather)))
    masks, changes = _pyramid(mask, levels), _pyramid(change, levels)
    blended: NDArray[Any] = masks[-1][..., None] * changes[-1]
    for soft, fine, coarse in zip(masks[-2::-1], changes[-2::-1], changes[:0:-1], strict=True):
        shape = (fine.shape[1], fine.shape[0])
        band = fine - cv2.pyrUp(coarse, dstsize=shape)
        blended = cv2.pyrUp(blended, dstsize=shape) + soft[..., None] * band
    allowed = _rising(size, feather, *WINDOW) * repair_share(kappa)
    return np.asarray(allowed[..., None] * (blended - mask[..., None] * change), np.float32)


def _pyramid(picture: NDArray[np.float32], levels: int) -> list[NDArray[np.float32]]:
    pictures = [picture]
    for _ in range(levels):
        pictures.append(np.asarray(cv2.pyrDown(pictures[-1]), np.float32))
    return pictures


def _rising(size: int, feather: float, start: float, end: float) -> Map:
    """Return a map, S×S, that rises from 0 to 1 between two distances from the edge, in feathers."""
    pixel = np.arange(size)
    from_edge = np.minimum(pixel, size - 1 - pixel) / feather
    side = ramp(from_edge, start, end)
    return np.outer(side, side).astype(np.float32)
