"""GPU memory for batches, allocated once, and the position of each of a batch's tensors in it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engines.package import Graph, GraphName, Port
from runtime.network.backends.cuda_device import Block, Bytes, CudaDevice

_ALIGNED = 256  # TensorRT's required alignment of addresses

CROP = "crop"
"""The estimate u: called `crop` by the encoder and `estimate` by the step."""
MOVED = {"next_estimate": CROP, "next_w": "w"}
"""Outputs of a step, and the inputs they become: TensorRT does not guarantee that a graph may overwrite its
inputs.
"""
_SAME = {"estimate": CROP}
DOWNLOADED = ("restored", "change")
_LANDS_AS = {CROP: "restored"}
"""A batch downloads either r or u, which have the same shape and share one host buffer."""


@dataclass(frozen=True)
class Place:
    """The position of a tensor within a block of memory."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def view(self, memory: Bytes) -> NDArray[np.generic]:
        """Return the tensor as a view of host memory."""
        return memory[self.offset : self.offset + self.size].view(self.dtype).reshape(self.shape)


Places = Mapping[str, Place]


def laid_out(ports: Iterable[Port], batch: int) -> dict[str, Place]:
    """Place tensors one after the other, each aligned as TensorRT requires."""
    places: dict[str, Place] = {}
    end = 0
    for port in ports:
        shape = tuple(batch if isinstance(length, str) else length for length in port.shape)
        places[port.name] = Place(end, shape, np.dtype(port.dtype))
        end += -(-places[port.name].size // _ALIGNED) * _ALIGNED
    return places


def size_of(places: Places) -> int:
    """Return the number of bytes from the first tensor's start to the last one's end."""
    return max(place.offset + place.size for place in places.values())


@dataclass(frozen=True)
class Tensors:
    """The tensors of all graphs of a package by name; tensors of the same name share one place."""

    uploaded: tuple[Port, ...]
    """Uploaded once per batch: the crops, then each move's gains."""
    resident: tuple[Port, ...]
    """Stays on the GPU between half passes."""
    downloaded: tuple[Port, ...]

    @classmethod
    def of(cls, graphs: Mapping[GraphName, Graph], names: Sequence[GraphName]) -> "Tensors":
        """Collect the tensors of the named graphs."""
        ports = {}
        for name in names:
            for port in (*graphs[name].inputs, *graphs[name].outputs):
                ports[same(port.name)] = replace(port, name=same(port.name))
        gains = ("picture_gain", "latent_gain")  # without latent_gain if a step only moves the estimate
        return cls(
            (ports[CROP], *(ports[gain] for gain in gains if gain in ports)),
            tuple(port for name, port in ports.items() if name != CROP),
            tuple(ports[name] for name in DOWNLOADED),
        )

    def upload_places(self, batch: int, moves: int) -> dict[str, Place]:
        """Lay out the upload of a batch: `crop`, `picture_gain 0`, …, `latent_gain 0`, …"""
        crop, *gains = self.uploaded
        numbered = [replace(gain, name=f"{gain.name} {i}") for gain in gains for i in range(moves)]
        return laid_out([crop, *numbered], batch)


def same(name: str) -> str:
    """Return the canonical name of a tensor that graphs name differently."""
    return _SAME.get(name, name)


@dataclass(eq=False)
class BatchMemory:
    """Memory for batches up to a size and a number of moves; smaller batches use the start of it."""

    device: CudaDevice
    tensors: Tensors
    batch: int
    moves: int
    blocks: list[Block] = field(default_factory=list)
    pinned: list[Bytes] = field(default_factory=list)

    def allocate(self, scratch: int) -> None:
        """Allocate the memory; if it fails halfway, `free` releases what was allocated.

        scratch  bytes that the networks need while they run
        """
        upload = size_of(self.tensors.upload_places(self.batch, self.moves))
        for size in (upload, size_of(laid_out(self.tensors.resident, self.batch)), scratch):
            self.blocks.append(self.device.allocate(size))
        for size in (upload, size_of(laid_out(self.tensors.downloaded, self.batch))):
            self.pinned.append(self.device.allocate_pinned(size))

    def free(self) -> None:
        """Free all memory; on a GPU that no longer responds, as much as possible."""
        while self.pinned:
            with suppress(*self.device.errors):
                self.device.free_pinned(self.pinned.pop())
        while self.blocks:
            with suppress(*self.device.errors):
                self.device.free(self.blocks.pop())

    def scratch_of(self, size: int) -> Block:
        """Return scratch memory for a network: shared by all, because they run one after the other.

        A network that needs more for a small batch than any needs for the largest gets its own.
        """
        if size > self.blocks[2].size:
            self.blocks.append(self.device.allocate(size))
            return self.blocks[-1]
        return self.blocks[2]

    def takes(self, batch: int, moves: int) -> bool:
        """Return whether a batch of that size fits."""
        return batch <= self.batch and moves <= self.moves

    def addresses(self, batch: int) -> dict[str, int]:
        """Return the GPU address of each tensor of a batch."""
        resident = laid_out(self.tensors.resident, batch)
        places = {name: self.blocks[1].address + place.offset for name, place in resident.items()}
        return {**places, CROP: self.blocks[0].address}

    def upload(self, batch: int, contents: Mapping[str, NDArray[np.float32]], moves: int) -> None:
        """Enqueue the upload of a batch's contents in one copy; the keys are the names of `upload_places`."""
        places = self.tensors.upload_places(batch, moves)
        for name, content in contents.items():
            places[name].view(self.pinned[0])[...] = content
        self.device.upload(self.blocks[0].address, self.pinned[0][: size_of(places)])

    def take_move(self, batch: int, move: int, moves: int) -> None:
        """Copy a move's gains to where the step reads them."""
        places, addresses = self.tensors.upload_places(batch, moves), self.addresses(batch)
        for gain in self.tensors.uploaded[1:]:
            place = places[f"{gain.name} {move}"]
            self.device.copy(addresses[gain.name], self.blocks[0].address + place.offset, place.size)

    def keep_moved(self, batch: int) -> None:
        """Copy a step's outputs into the state."""
        resident, addresses = laid_out(self.tensors.resident, batch), self.addresses(batch)
        for written, becomes in MOVED.items():
            if written not in resident:  # a step that only moves the estimate
                continue
            self.device.copy(addresses[becomes], addresses[written], resident[written].size)

    def download(self, name: str, batch: int) -> None:
        """Enqueue the download of a tensor to the host."""
        place = laid_out(self.tensors.downloaded, batch)[_LANDS_AS.get(name, name)]
        target = self.pinned[1][place.offset : place.offset + place.size]
        self.device.download(target, self.addresses(batch)[name])

    def downloaded(self, name: str, batch: int) -> NDArray[np.float32]:
        """Return a copy of a downloaded tensor; wait for the stream first."""
        place = laid_out(self.tensors.downloaded, batch)[_LANDS_AS.get(name, name)]
        return np.array(place.view(self.pinned[1]), np.float32)
