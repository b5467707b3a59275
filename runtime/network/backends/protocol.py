"""The protocol of backends, which run the networks of a package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError
from engines.package import Package

Batch = NDArray[np.float32]
"""B×3×S×S, RGB in [−1, 1]."""


@dataclass(frozen=True, eq=False)
class Move:
    """How far k steps of the loop move the estimate and the latent towards their targets."""

    picture_gain: NDArray[np.float32]
    """B×1×S×S: 1 − (1 − ηρ)^k"""
    latent_gain: float
    """1 − (1 − η)^k"""


class BatchLostError(BackendError):
    """A batch was lost but the backend has recovered: encode it again, with at most `max_batch` faces."""


class Backend(Protocol):
    """The open networks of one package.

    A state stands for what exists between half passes (estimate u, restored face r, latent w, features F) and
    for the moves; all of it stays in the backend's own memory. Any method may raise BackendError, which
    invalidates the state, or BatchLostError.
    """

    name: str
    """The user's name for it: `onnxruntime`."""
    device: str
    """The device it runs on: `cpu`, `cuda:0`."""
    why: str
    """Why it was chosen, in a few words for the user."""
    renews: bool
    """Whether each pass encodes the current estimate again, as set by the package's `loop`."""

    @property
    def max_batch(self) -> int:
        """Largest number of crops in a batch; reduced when memory runs out."""

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> Any:
        """Upload a batch u₀ and the moves of its steps: return a state with features F and latent w₀."""

    def generate(self, state: Any) -> None:
        """Compute r = G(w, F), the prior's restoration from the state's latent and features.

        If `renews`, the estimate is encoded again first if it has changed.
        """

    def step(self, state: Any, move: int) -> NDArray[np.float32]:
        """Move the estimate towards r and the latent towards the estimate's; return the relative change, B.

        If `renews`, only the estimate moves. Its change is relative to the range of pixel values: the RMS
        over the pixels that move, each weighted by its gain as a share of the largest gain.

        move  index of a move passed to `encode`
        """

    def restored(self, state: Any) -> Batch:
        """Return r."""

    def estimate(self, state: Any) -> Batch:
        """Return u."""

    def release(self, state: Any) -> None:
        """Free the state's memory for the next batch; the state cannot be used afterwards."""

    def close(self) -> None:
        """Free all memory; the backend cannot be used afterwards."""


@runtime_checkable
class RestoresSideBySide(Protocol):
    """A backend that may restore several batches at once faster than one after the other."""

    def for_group(self, faces: int) -> "tuple[Backend, int]":
        """Return what restores so many faces fastest, and how many threads should use it at once.

        It belongs to this backend, and is closed with it. Raises BackendError.
        """


@runtime_checkable
class OpensTiles(Protocol):
    """A backend that also runs the network of photo packages."""

    def open_tiles(self, package: Package) -> tuple[Callable[[Batch], Batch], str]:
        """Open a photo package beside the faces' networks, until the backend is closed.

        Returns what maps a tile to the result, both 1×3×H×W, and where it runs, in words. It may be called
        from several threads, and raises BackendError.

        Raises BackendError, EngineError and PackageError.
        """
