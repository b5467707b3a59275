"""Keep texture around a face, as of leaves, wool or lace, from the network.

A network judges the whole crop: fine texture in much of it passes for noise or for damage, and the network
smooths or redraws the face between. In ordinary portraits the plainest surroundings are quieter than skin;
where they are much rougher, the network is shown the surroundings without texture.
"""

import cv2
import numpy as np

from runtime.faces.align import AlignedFace
from runtime.finish.grain import grain_sigmas, middle
from runtime.finish.head import head_shape
from runtime.finish.noise import wavelet
from runtime.pixels import Crop, ramp

ROUGHER = (1.4, 1.7)
"""Texture in the plain places of a crop relative to that in the plain places of its middle, in the two finer
bands: from the first on, it is kept from the network in part, from the second on fully. Of 179 portraits none
has more than 1.37; of leaves, wool, lace, wicker and cloth around them 1.6 to 14."""


def texture_around(aligned: AlignedFace) -> Crop | None:
    """Return the texture around a face that would mislead a network, S×S×3; None if there is none.

    It is the part of the crop's finer bands that lies outside the head.
    """
    whole, inside = (
        grain_sigmas(picture).mean(axis=1)[:2] for picture in (aligned.crop, middle(aligned.crop))
    )
    share = float(ramp(float((whole / np.maximum(inside, 1e-6)).max()), *ROUGHER)) if inside.all() else 0.0
    if share == 0:
        return None
    outside = cv2.merge([np.float32(share) * (1 - head_shape(aligned))] * 3)
    return np.asarray(outside * (aligned.crop - wavelet(aligned.crop)[-1]), np.float32)
