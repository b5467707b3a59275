"""Work that a GPU repeats: recorded as a CUDA graph once, then replayed.

A training step consists of thousands of small kernels, which a CPU launches more slowly than a GPU runs them.
A graph launches all of them at once.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3
"""Calls that run as usual before recording; in them libraries choose algorithms, and optimisers make their
state.
"""


class Recorded:
    """A function of tensors on one device that always have the same shapes; replayed if that device is a GPU.

    The function must not read values back or copy from the CPU, and its result is overwritten by the next
    call. If it cannot be recorded, a warning says why, and it runs as usual.
    """

    def __init__(self, work: Callable[..., Tensor]) -> None:
        self._work = work
        self._calls = 0
        self._inputs: tuple[Tensor, ...] = ()
        self._result: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the function's result."""
        if not inputs[0].is_cuda:
            return self._work(*inputs)
        self._calls += 1
        if self._calls <= WARM_UP:
            return _beside(self._work, inputs)
        if self._calls == WARM_UP + 1:
            self._record(inputs)
        if self._graph is None or self._result is None:
            return self._work(*inputs)
        for place, given in zip(self._inputs, inputs, strict=True):
            place.copy_(given)
        self._graph.replay()
        return self._result

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(given.clone() for given in inputs)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._result = self._work(*self._inputs)
            self._graph = graph
        except RuntimeError as error:
            torch.cuda.synchronize()
            warnings.warn(f"steps are slower, since recording failed: {error}", stacklevel=2)


def _beside(work: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
    """Run work on a stream of its own, as PyTorch asks for before recording."""
    here, other = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    other.wait_stream(here)
    with torch.cuda.stream(other):
        result = work(*inputs)
    here.wait_stream(other)
    return result
