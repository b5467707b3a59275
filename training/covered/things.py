"""What is drawn over a portrait, and how often: things that hide parts of the face, and others."""

from collections.abc import Callable

from training.covered.concealed import bar, blurred, mosaic
from training.covered.harmless import (
    beard,
    dark_skin,
    fringe,
    make_up,
    moustache,
    scratches,
    shadow,
    sockets,
)
from training.covered.held import held
from training.covered.scene import Scene
from training.covered.worn import glasses, mask

COVERS: tuple[tuple[Callable[[Scene], None], float], ...] = (
    (mask, 0.2),
    (glasses, 0.2),
    (bar, 0.1),
    (mosaic, 0.14),
    (blurred, 0.08),
    (held, 0.5),
)
"""Things that hide a face, and how often each is drawn."""
HARMLESS: tuple[tuple[Callable[[Scene], None], float], ...] = (
    (dark_skin, 0.3),
    (beard, 0.12),
    (moustache, 0.15),
    (sockets, 0.3),
    (fringe, 0.2),
    (make_up, 0.2),
    (shadow, 0.2),
    (scratches, 0.1),
)
"""Things that hide nothing, each with its own probability."""
