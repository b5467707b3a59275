"""Keep texture around or in front of a face, as of leaves, wool or lace, from the network.

A network judges the whole crop: fine texture in much of it passes for noise or for damage, and the network
smooths or redraws the face between. In ordinary portraits the plainest surroundings are quieter than skin;
where they are much rougher, the network is shown the surroundings without texture. The same goes for what
covers a face: behind a sharp patterned mask, a blurred face would be sharpened far too much. Behind sharp
rims of glasses it would hardly be sharpened at all, so what is sharp before a blurred face is shown blurred.
"""

import cv2
import numpy as np

from runtime.faces.align import AlignedFace, middle
from runtime.faces.grain import grain_sigmas
from runtime.faces.head import head_shape
from runtime.faces.noise import wavelet
from runtime.pixels import Crop, Map, ramp, sum_of_channels

ROUGHER = (1.4, 1.7)
"""Texture in the plain places of a crop relative to that in the plain places of its middle, in the two finer
bands: from the first on, it is kept from the network in part, from the second on fully. Of 179 portraits none
has more than 1.37; of leaves, wool, lace, wicker and cloth around them 1.6 to 14."""


LEAST = 1e-3
"""A smaller share is none."""


def texture_around(aligned: AlignedFace, cover: Map | None = None, sharp: Map | None = None) -> Crop | None:
    """Return the texture around and in front of a face that would mislead a network, S×S×3; None if there is
    none.

    It is the part of the crop's finer bands that lies outside the head, or in what is before the face.

    cover  S×S in [0, 1]: what covers the face
    sharp  S×S in [0, 1]: what is sharp before the blurred face
    """
    hidden = np.maximum(_around(aligned), _in_front(aligned, cover))
    if sharp is not None:
        hidden = np.maximum(hidden, sharp)
    if not hidden.any():
        return None
    return np.asarray(cv2.merge([hidden] * 3) * (aligned.crop - wavelet(aligned.crop)[-1]), np.float32)


def _around(aligned: AlignedFace) -> Map:
    whole, inside = (
        grain_sigmas(picture).mean(axis=1)[:2] for picture in (aligned.crop, middle(aligned.crop))
    )
    share = float(ramp(float((whole / np.maximum(inside, 1e-6)).max()), *ROUGHER)) if inside.all() else 0.0
    return np.asarray(share * (1 - head_shape(aligned)) if share else np.zeros(1), np.float32)


def _in_front(aligned: AlignedFace, cover: Map | None) -> Map:
    if cover is None:
        return np.zeros(1, np.float32)
    thing, face = cover > 1 - LEAST, middle(cover) < LEAST
    if not (thing.any() and face.any()):
        return np.zeros(1, np.float32)
    power = [sum_of_channels(band * band) for band in wavelet(aligned.crop)[:2]]
    rougher = max(np.sqrt(each[thing].mean() / max(middle(each)[face].mean(), LEAST**2)) for each in power)
    return np.asarray(float(ramp(float(rougher), *ROUGHER)) * cover, np.float32)
