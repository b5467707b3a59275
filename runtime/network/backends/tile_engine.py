"""A photo package as an engine, beside the engines of a backend and on the same GPU."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError
from engines import tensorrt_api
from engines.package import PHOTO, Package, Port
from runtime.network.backends.batch_memory import Place, laid_out
from runtime.network.backends.cuda_device import Block, Bytes, CudaDevice
from runtime.network.backends.gpu_engines import GpuEngines
from runtime.network.backends.protocol import BatchLostError


@dataclass(eq=False)
class _Ready:
    """The execution context and memory for tiles, allocated once and used by one tile after another."""

    context: Any
    """IExecutionContext"""
    blocks: list[Block] = field(default_factory=list)
    """The tile, the result and scratch memory, on the GPU."""
    pinned: list[Bytes] = field(default_factory=list)
    """The tile and the result, on the host."""


class TileEngine:
    """The engine of a photo package. Several threads may call it; their tiles take turns."""

    def __init__(self, engines: GpuEngines, package: Package) -> None:
        """Open the engine, and build it if the cache lacks it.

        Raises BackendError, EngineError and PackageError.
        """
        graph = package.manifest.graphs[PHOTO]
        self._given, self._made = (_place(port) for port in (graph.inputs[0], graph.outputs[0]))
        self._names = graph.inputs[0].name, graph.outputs[0].name
        self._engines = engines
        self._ready: _Ready | None = None
        engines.add(package, PHOTO, self._free)

    def __call__(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of a tile, both 1×3×H×W. Raises BackendError."""
        try:
            return self._made_of(tile, final=False)
        except BatchLostError:  # it has recovered
            return self._made_of(tile, final=True)

    def _made_of(self, tile: NDArray[np.float32], *, final: bool) -> NDArray[np.float32]:
        with self._engines.at_work(partial(self._too_small, final=final)) as gpu:
            ready = self._ready or self._prepared(gpu)
            (given, made, _), (sent, received) = ready.blocks, ready.pinned
            np.copyto(self._given.view(sent), tile, casting="same_kind")
            gpu.upload(given.address, sent)
            tensorrt_api.enqueue(ready.context, gpu.stream)
            gpu.download(received, made.address)
            gpu.wait()
            self._engines.worked()
            self._engines.keep_kernels()
            return np.array(self._made.view(received), np.float32)

    def _prepared(self, gpu: CudaDevice) -> _Ready:
        """Allocate the memory for a tile, and return it."""
        ready = self._ready = _Ready(self._engines.context(PHOTO))  # it is freed, whatever happens
        (given, made), places = self._names, (self._given, self._made)
        scratch = tensorrt_api.set_shapes(ready.context, {given: self._given.shape})
        for size in (*(place.size for place in places), scratch):
            ready.blocks.append(gpu.allocate(size))
        for place in places:
            ready.pinned.append(gpu.allocate_pinned(place.size))
        addresses = {given: ready.blocks[0].address, made: ready.blocks[1].address}
        tensorrt_api.set_addresses(ready.context, addresses, ready.blocks[2].address, scratch)
        return ready

    def _free(self, gpu: CudaDevice) -> None:
        """Free the memory; on a GPU that no longer responds, as much as possible."""
        ready, self._ready = self._ready, None
        if ready is None:
            return
        ready.context = None  # before the memory that it works in
        for pinned in ready.pinned:
            with suppress(*gpu.errors):
                gpu.free_pinned(pinned)
        for block in ready.blocks:
            with suppress(*gpu.errors):
                gpu.free(block)

    def _too_small(self, *, final: bool) -> BackendError:
        """Return the error to raise if the GPU's memory is full: at first, faces may have filled it."""
        if not final:
            return BatchLostError("the memory of faces has been freed: try again")
        return BackendError(
            f"the memory of {self._engines.device} is too small for a tile of the photo: end other programs "
            "that use it, or use --scope faces or --device cpu"
        )


def _place(port: Port) -> Place:
    return laid_out([port], 1)[port.name]
