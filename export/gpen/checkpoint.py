"""Read the checkpoint of a GPEN network, for training and benchmarks."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from base.files import sha256
from export.checkpoint import load_tensors
from export.gpen.architecture import GPEN
from export.gpen.layout import Layout


@dataclass(frozen=True)
class Checkpoint:
    """A published network's tensors, float32, and the layout that was read off them."""

    layout: Layout
    state: dict[str, Tensor]
    sha256: str


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a GPEN network's checkpoint. Raises CheckpointError like `load_tensors`."""
    layout, state = load_tensors(path, GPEN)
    return Checkpoint(layout, state, sha256(path))
