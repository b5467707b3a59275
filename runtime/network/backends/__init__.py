"""What runs the networks of a package: one small protocol, whatever is behind it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError, SettingsError
from engines.builder import Watch
from engines.package import Package
from runtime.settings.config_values import in_short

Batch = NDArray[np.float32]
"""B×3×S×S, RGB in [−1, 1]."""

BackendName = Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime"]
Provider = Literal["cuda", "tensorrt", "tensorrt-rtx"]
"""What ONNX Runtime uses on a GPU."""


@dataclass(frozen=True, eq=False)
class Move:
    """How far k steps of the loop move what they start from towards what they lead to."""

    picture_gain: NDArray[np.float32]
    """B×1×S×S: 1 − (1 − ηρ)^k"""
    latent_gain: float
    """1 − (1 − η)^k"""


class BatchLostError(BackendError):
    """The batch is lost, but the backend has mended itself: encode it again, at most `max_batch` at once."""


class Backend(Protocol):
    """The networks of one package, open for work.

    What lies between the half passes (estimate u, restored face r, latent w, features F) and the moves stay
    in the backend's own memory: a state stands for them. Any method may raise BackendError, which ends the
    state, and BatchLostError.
    """

    name: str
    """As the user names it: `onnxruntime`."""
    device: str
    """Where it runs: `cpu`, `cuda:0`."""
    why: str
    """Why it is this one: a few words for the user."""
    renews: bool
    """Whether each pass encodes the present estimate again, as the package's `loop` says."""
    max_batch: int
    """Most crops that go through together; falls when memory runs out."""

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> Any:
        """Take in a batch u₀ and what its steps will move: return a state with its features F and w₀."""

    def generate(self, state: Any) -> None:
        """Make r = G(w, F), what the prior makes of the state's latent and features.

        Where `renews`, these are encoded from the estimate again if it was moved since.
        """

    def step(self, state: Any, move: int) -> NDArray[np.float32]:
        """Move the estimate towards r, and the latent towards the estimate's; return its relative change, B.

        Where `renews`, only the estimate moves. Its change is relative to the range of pixels: the RMS over
        those that move, of which each counts by its share of the largest gain.

        move  which of the moves that `encode` was given
        """

    def restored(self, state: Any) -> Batch:
        """Return the state's r."""

    def estimate(self, state: Any) -> Batch:
        """Return the state's u."""

    def release(self, state: Any) -> None:
        """Give the state's memory to the next batch; the state cannot be used after it."""

    def close(self) -> None:
        """Give back all memory; the backend cannot be used after it."""


def device_index(device: str) -> int | None:
    """Return the N of `cuda:N`, or None for `cpu`. Raises SettingsError when it is neither."""
    match = re.fullmatch(r"cpu|cuda:([0-9]{1,3})", device)
    if match is None:
        raise SettingsError(f"device is {in_short(device)}: give cpu, or cuda:0")
    return None if match[1] is None else int(match[1])


def open_backend(
    name: BackendName,
    package: Package,
    *,
    device: str | None = None,
    provider: Provider | None = None,
    threads: int | None = None,
    watch: Watch | None = None,
) -> Backend:
    """Open a package's networks.

    name      `auto` picks the fastest backend that is there
    device    `cpu` or `cuda:N`; None is the first CUDA device where the backend can use one
    provider  what ONNX Runtime uses on a GPU; None is `cuda`
    threads   of the CPU; None is one per core
    watch     told how engines are built, which may take minutes

    Raises BackendError or EngineError when the backend is unknown, not installed, cannot use the device, or
    does not take the package; SettingsError when the device is none.
    """
    from runtime.network.backends.choice import choose

    return choose(name, package, device=device, provider=provider, threads=threads, watch=watch)
