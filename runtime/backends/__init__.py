"""What runs the networks of a package: one small protocol, whatever is behind it."""

import re
from contextlib import suppress
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.package import Package
from runtime.one_line import one_line

Batch = NDArray[np.float32]
"""B×3×S×S, RGB in [−1, 1]."""

BackendName = Literal["auto", "onnxruntime"]


class Backend(Protocol):
    """The networks of one package, open for work.

    What lies between the half passes (estimate u, restored face r, latent w, features F) stays in the
    backend's own memory: a state stands for it.
    """

    name: str
    """As the user names it: `onnxruntime`."""
    device: str
    """Where it runs: `cpu`, `cuda:0`."""
    max_batch: int
    """Most crops that go through together."""

    def encode(self, crops: Batch) -> Any:
        """Take in a batch u₀: return a state with its features F and first latent w₀."""

    def first_latent(self, state: Any) -> NDArray[np.float32]:
        """Return z₀, B×D: what the encoder said of the crops when they came in, before the mapping."""

    def generate(self, state: Any) -> None:
        """Make r = G(w, F), what the prior makes of the state's latent and features."""

    def step(self, state: Any, picture_gain: NDArray[np.float32], latent_gain: float) -> NDArray[np.float32]:
        """Move the estimate towards r, and the latent towards the estimate's; return its relative change, B.

        picture_gain  B×1×S×S: 1 − (1 − ηρ)^k
        latent_gain   1 − (1 − η)^k
        """

    def restored(self, state: Any) -> Batch:
        """Return the state's r."""

    def close(self) -> None:
        """Give back all memory; the backend cannot be used after it."""


def open_backend(
    name: BackendName, package: Package, *, device: str | None = None, threads: int | None = None
) -> Backend:
    """Open a package's networks.

    name     `auto` picks the fastest backend that is there
    device   `cpu` or `cuda:N`; None is the first CUDA device where the backend can use one
    threads  of the CPU; None is one per core

    Raises BackendError when the backend is unknown, not installed, cannot use the device, or does not take
    the package.
    """
    if name not in get_args(BackendName):
        raise BackendError(f"no backend {name!r}: there are {', '.join(get_args(BackendName))}")
    if device is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise BackendError(f"device is {one_line(device)!r}: give cpu or cuda:N")
    from runtime.backends.onnxruntime import OnnxRuntimeBackend, cuda_is_there

    if device is None and cuda_is_there():
        with suppress(BackendError):  # no driver, or no device: the CPU does it too
            return OnnxRuntimeBackend(package, device="cuda:0", threads=threads)
    return OnnxRuntimeBackend(package, device=device or "cpu", threads=threads)
