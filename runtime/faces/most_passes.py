"""How many passes of a `renewed` loop a face is worth.

The first pass returns the average of what a face may look like; each later one draws it more sharply. Where a
face is unlike those of the training, they sharpen what the first got wrong: eyes crack, cheeks get lines. And
a small face cannot show what they draw.
"""

from runtime.faces.align import AlignedFace
from runtime.network.schedule import MOST
from runtime.pixels import Map

SMALL, OF_SMALL = 0.85, 2
"""Photo pixels per crop pixel below which a face takes two passes. Blurred, noisy portraits of 0.3 to 0.8
came nearly as close to the truth's sharpness in two passes as in five, unless they were very blurred, and in
those of 0.5, 0.5 dB closer to the truth."""
VERY_SMALL = 0.45
"""The same for a single pass, which is as close to the truth. In 29 old faces of 0.26 to 0.37 a second pass
was sharper, but spoiled one pair of eyes in four, and the first was preferred by two to one."""
TURNED = 20.0
"""Degrees from which a turned face takes a single pass, like one that no mesh fits."""
COVERED = 0.2
"""Share of the crop that is covered from which a face takes a single pass. Behind books and masks, blurred,
noisy portraits of three sizes came 0.02 to 0.33 dB closer to the truth in one pass than in two or five, which
drew lines on cheeks beside a book. Sunglasses are less, 0.13."""


def most_passes(aligned: AlignedFace, *, recognised: bool, cover: Map | None = None) -> int:
    """Return the largest number of passes for a face.

    recognised  whether a mesh fits it, if one was sought
    cover       what covers the face, S×S in [0, 1]
    """
    turned = aligned.mesh is not None and abs(aligned.mesh.yaw) >= TURNED
    covered = cover is not None and float(cover.mean()) >= COVERED
    if turned or covered or not recognised or aligned.scale < VERY_SMALL:
        return 1
    return OF_SMALL if aligned.scale < SMALL else MOST
