"""How many passes of a `renewed` loop a face is worth.

The first pass returns the average of what a face may look like; each later one draws it more sharply. Where a
face is unlike those of the training, they sharpen what the first got wrong: eyes crack, cheeks get lines. And
a small face cannot show what they draw.
"""

from runtime.faces.align import AlignedFace
from runtime.faces.face import Face
from runtime.network.schedule import MOST
from runtime.pixels import Map

FEW = 2
"""Passes of a small face, and of one in grey or one tone. In 13 such faces of real photos five passes cracked
or faded the eyes of four, and bettered none. In 29 faces of 1927 one brings the blur effect from 0.77 to
0.67, two to 0.64, five to 0.58."""
SMALL = 0.85
"""Photo pixels per crop pixel below which a face is small. Blurred, noisy portraits of 0.3 to 0.8 came nearly
as close to the truth's sharpness in two passes as in five, unless they were very blurred, and in those of
0.5, 0.5 dB closer to the truth."""
VERY_SMALL = 0.45
"""The same for a single pass, which is as close to the truth. In 29 old faces of 0.26 to 0.37 a second pass
was sharper, but spoiled one pair of eyes in four, and the first was preferred by two to one."""
TURNED = 20.0
"""Degrees from which a turned face takes a single pass, like one that no mesh fits."""
OFF_CENTRE = 0.2
"""The nose's distance from the middle of the eyes, along their line and as a share of their distance, from
which a face counts as turned too: on a blurred face the mesh turns less than the face."""
COVERED = 0.2
"""Share of the crop that is covered from which a face takes a single pass. Behind books and masks, blurred,
noisy portraits of three sizes came 0.02 to 0.33 dB closer to the truth in one pass than in two or five, which
drew lines on cheeks beside a book. Sunglasses cover 0.13."""


def most_passes(aligned: AlignedFace, *, recognised: bool, monochrome: bool, cover: Map | None = None) -> int:
    """Return the largest number of passes for a face.

    recognised  whether a mesh fits it, if one was sought
    monochrome  whether it is in grey or one tone
    cover       what covers the face, S×S in [0, 1]
    """
    turned = aligned.mesh is not None and abs(aligned.mesh.yaw) >= TURNED
    turned = turned or _off_centre(aligned.face) >= OFF_CENTRE
    covered = cover is not None and float(cover.mean()) >= COVERED
    if turned or covered or not recognised or aligned.scale < VERY_SMALL:
        return 1
    return FEW if monochrome or aligned.scale < SMALL else MOST


def _off_centre(face: Face) -> float:
    """Return how far the nose is from the middle of the eyes along their line, by their distance."""
    left, right, nose = face.landmarks[:3]
    between = right - left
    return abs(float((nose - (left + right) / 2) @ between / (between @ between)))
