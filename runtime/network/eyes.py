"""Draw the eyes of small or badly blurred faces again, with a separate network.

The restoring network was trained to be close to the truth, so where a photo does not show the eyes, it draws
the mean of what they may be. This small network was trained against an adversary (`training/eyes/`), to draw
clear lids and irises there. They are plausible, but invented. It sees a strip of the crop around the eyes, as
the restoring network saw it, and that network's result.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engines.package import Manifest, Template
from runtime.faces.align import AlignedFace
from runtime.faces.contours import soft_outlines
from runtime.faces.mesh import CLOSED, LEFT_LID, RIGHT_LID
from runtime.onnx_session import open_network, run_network
from runtime.pixels import Crop, Map

BUNDLED = Path(__file__).parents[1] / "data" / "eyes.onnx"

WHAT = "the network for eyes"

SIZE, TEMPLATE = 256, "published"
"""Side and template of the crops of its training."""

STRIP = np.s_[92:148, 64:192]
"""Rows and columns of such a crop that it sees and changes."""
HEIGHT, WIDTH = (part.stop - part.start for part in STRIP)

SMALL = (0.4, 0.6)
"""Photo pixels per pixel of the crop: up to the first a face is small, from the second on it is not. An iris,
about 11.5 pixels wide in the crop, has 5 and 7 pixels there.
"""
TURNED = 50.0
"""Degrees from which the farther eye is no longer seen well."""
HIDDEN = 0.1
"""Share of an eye with its lids from which it counts as hidden."""


def fits(manifest: Manifest, template: Template) -> bool:
    """Return whether a package is of the kind of the training's, whose crops are aligned by this template.

    One that is not trained for the loop, as the published GPEN of 256 pixels, draws eyes of its own.
    """
    return (manifest.size, template, manifest.loop_kind) == (SIZE, TEMPLATE, "renewed")


def smallness(scale: float) -> float:
    """Return the degree to which a face is too small in the photo to show its eyes, in [0, 1].

    scale  photo pixels per pixel of the crop
    """
    return float(np.interp(scale, SMALL, (1, 0)))


def both_open(aligned: AlignedFace, hole: Map | None) -> bool:
    """Return whether both eyes of a face are open and visible; without a mesh that is unknown, so False.

    hole  S×S in [0, 1]: where the photo holds no information about the face
    """
    mesh, size = aligned.mesh, len(aligned.crop)
    if mesh is None or min(mesh.openings) <= CLOSED or abs(mesh.yaw) >= TURNED:
        return False
    eyes = (soft_outlines(mesh, (lid,), size, 0, 1) for lid in (LEFT_LID, RIGHT_LID))
    return hole is None or all(float((eye * hole).sum()) < HIDDEN * float(eye.sum()) for eye in eyes)


def with_new_eyes(shown: Crop, restored: Crop, share: float) -> Crop:
    """Return a restored face with new eyes, SIZE×SIZE×3 in [0, 1].

    shown     SIZE×SIZE×3 in [0, 1], what the restoring network was shown
    restored  SIZE×SIZE×3 in [0, 1], its result; not changed
    share     of the change that is made, 0 to 1

    Raises BackendError if ONNX Runtime is missing or fails.
    """
    strips = {
        name: np.ascontiguousarray(np.clip(crop[STRIP], 0, 1).transpose(2, 0, 1)[None] * np.float32(2) - 1)
        for name, crop in (("crop", shown), ("restored", restored))
    }
    (made,) = run_network(_network(), ["eyes"], strips, WHAT)
    change = (made - strips["restored"])[0].transpose(1, 2, 0) * np.float32(share / 2)
    drawn = np.array(restored, np.float32)
    drawn[STRIP] = np.clip(drawn[STRIP] + change, 0, 1)
    return drawn


@lru_cache(maxsize=1)
def _network() -> Any:
    return open_network(BUNDLED, threads=1, what=WHAT)
