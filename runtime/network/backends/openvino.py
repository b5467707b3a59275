"""OpenVINO, on the CPU or on an Intel GPU."""

import copy
import hashlib
import io
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from base.decibels import decibels
from base.errors import BackendError, EngineError
from base.malloc import return_freed_memory
from base.parallel import cores
from base.text import cause_of
from engines.cache import EngineCache
from engines.openvino_api import import_openvino
from engines.package import RESTORING, GraphName, Package, Port
from engines.portrait import portraits
from engines.record import EngineKey, EngineRecord
from runtime.network.backends.batch_size import IN_OPENVINO, MEMORY, most_faces, most_side_by_side
from runtime.network.backends.device import Device
from runtime.network.backends.mapped_file import MappedFile
from runtime.network.backends.measured import key_of, recall, remember
from runtime.network.backends.openvino_graph import METHOD, rewritten
from runtime.network.backends.openvino_layout import in_last, with_channels_last
from runtime.network.backends.protocol import Batch, Move
from runtime.network.backends.renewed_step import moved

LEAST_PSNR = 55.0
"""PSNR in dB against FP32 that portraits must reach for a shorter number format to be used."""
BESIDE_INT8 = 6.0
"""For an INT8 package less is enough: dB above the PSNR that it reached, where the shorter format's errors
are half as large as those of INT8."""
MAX_BATCH = {"cpu": 1, "gpu": 4}
"""Largest batch. A CPU gains nothing from more crops, and needs a compiled model for each batch size."""
MOST_SIDE_BY_SIDE = 4
"""Most faces that a CPU restores side by side. A core then works on a face of its own, where two that share
one wait for each other at every layer."""
GROUP = 8
"""Fewest faces that are restored side by side: fewer would not make up for opening the networks again."""

Precision = Literal["f32", "bf16", "f16"]
_SHORT: dict[str, tuple[str, Precision]] = {"cpu": ("BF16", "bf16"), "gpu": ("FP16", "f16")}
"""For each kind of device, the capability by which OpenVINO reports a shorter format, and the format's
name."""
_IN_WORDS: dict[Precision, str] = {"f32": "FP32", "bf16": "bf16", "f16": "FP16"}
_SHORTENED: tuple[GraphName, ...] = ("encoder", "generator")
"""The graphs that may compute in the shorter format. The loop's arithmetic and the latent code stay in
FP32."""
_RENAMED = {"estimate": "crop"}
"""The step reads as `estimate` what the encoder reads as `crop`."""


@dataclass(eq=False)
class State:
    """A batch between half passes: its tensors are allocated once and overwritten by every pass."""

    batch: int
    tensors: dict[str, Any]
    """By port name: outputs of one graph are inputs of the next."""
    moves: list[tuple[Any, Any]]
    """For each move, the gains of the picture and of the latent."""
    moved: bool = False
    """Whether the estimate has moved since it was encoded."""


@dataclass(eq=False)
class _Open:
    """A model that is open for inference."""

    model: Any
    mapped: MappedFile | None = None
    """The file that it was read from, which has to outlive it."""
    idle: list[Any] = field(default_factory=list)
    """Inference requests that no thread uses."""

    def request(self) -> Any:
        """Return an inference request of which the caller has sole use."""
        try:
            return self.idle.pop()
        except IndexError:
            return self.model.create_infer_request()


_Key: TypeAlias = tuple[GraphName, int, Precision, int]
"""Of an open model: its graph, batch size, number format, and how many faces it restores side by side."""


class OpenVinoBackend:
    """The graphs of a package in OpenVINO. Several threads may use it; their passes take turns.

    Only the faces of a group are restored side by side (`for_group`).
    """

    name = "openvino"

    def __init__(
        self,
        package: Package,
        *,
        device: Device,
        threads: int | None = None,
        memory: float = MEMORY,
        why: str = "requested",
        cache: EngineCache | None = None,
        precision: Precision | None = None,
    ) -> None:
        """Open the graphs that every photo needs.

        memory     bound on the memory of the networks and a batch, in GB
        precision  of encoder and generator; None is the device's shorter format if portraits stay near FP32
                   in it, which is measured once

        Raises BackendError if OpenVINO or the device is missing, or cannot run the package.
        """
        self.device = str(device)
        manifest = package.manifest
        if manifest.quantisation is not None and manifest.quantisation.target == "cpu":
            raise BackendError(
                f"{package.folder} was made for ONNX Runtime, with scales that OpenVINO does not take: "
                "leave --backend openvino out, or make one by python -m calibration int8 without --for cpu"
            )
        self.max_batch = most_faces(package, IN_OPENVINO, memory, MAX_BATCH[device.kind])
        self.renews = manifest.loop_kind == "renewed"
        self._package, self._threads, self._cache = package, threads, cache
        self._opening = threading.Lock()
        self._side_by_side = 1
        self._turns = threading.BoundedSemaphore(1)
        self._closed = threading.Event()
        self._core = _core()
        self._where = _named(self._core, device)
        with _one_line_errors(self.device):
            self._target = _target(self._core, self._where)
        self._in_last = _passed_on(package) if self._where == "CPU" else frozenset[str]()
        self._open: dict[_Key, _Open] = {}
        self._released: list[tuple[int, dict[str, Any]]] = []
        """Batch sizes and tensors of released states, which the next states take."""
        self.precision: Precision = "f32"
        psnr = None
        if precision is None:
            self.precision, psnr = self._chosen(device)
        else:
            self.precision = precision
        for graph in RESTORING:
            self._opened(graph, manifest.batch or 1)
        computed = _format(self.precision, psnr, _SHORT[device.kind][1])
        if manifest.precision == "int8":
            computed = f"INT8, and where the package has none {computed}"
        self.why = "; ".join(filter(None, [why, computed]))
        most = min(threads or cores(), MOST_SIDE_BY_SIDE if self._where == "CPU" else 1)
        self._group = self._with_turns(most_side_by_side(package, IN_OPENVINO, memory, most))

    def _with_turns(self, count: int) -> "OpenVinoBackend":
        """Return a backend that shares what is open with this one, but restores several faces at once."""
        group = copy.copy(self)
        group._side_by_side, group._turns = count, threading.BoundedSemaphore(count)
        return group

    def for_group(self, faces: int) -> "tuple[OpenVinoBackend, int]":
        """Return what restores so many faces fastest, and how many threads should use it at once."""
        most = self._group._side_by_side
        return (self, 1) if faces < GROUP or most == 1 else (self._group, most)

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> State:
        """Upload B×3×S×S crops in [−1, 1] and the moves of their steps, and encode them."""
        batch = len(crops)
        with _one_line_errors(self.device):
            state = State(batch, self._tensors(batch), [self._uploaded(move, batch) for move in moves])
            np.copyto(state.tensors["crop"].data, crops)
        self._encode(state)
        return state

    def generate(self, state: State) -> None:
        """Compute r from the state's latent and features."""
        if self.renews and state.moved:
            self._encode(state)
            state.moved = False
        self._run("generator", state)

    def step(self, state: State, move: int) -> NDArray[np.float32]:
        """Move the estimate and, unless it is re-encoded, the latent; return the relative change, B."""
        picture_gain, latent_gain = state.moves[move]
        tensors, state.moved = state.tensors, True
        if self.renews and self._package.manifest.moves_latent:
            estimate, change = moved(tensors["crop"].data, tensors["restored"].data, picture_gain.data)
            np.copyto(tensors["crop"].data, estimate)
            return change
        self._run("step", state, {"picture_gain": picture_gain, "latent_gain": latent_gain})
        for name in ("crop", "w"):
            following = _FOLLOWING[name]
            if following in tensors:
                tensors[name], tensors[following] = tensors[following], tensors[name]
        return np.array(tensors["change"].data[:, 0])

    def restored(self, state: State) -> Batch:
        """Return the restored crops, B×3×S×S, in or slightly outside [−1, 1]."""
        return np.array(state.tensors["restored"].data)

    def estimate(self, state: State) -> Batch:
        """Return the current estimate, B×3×S×S, in or slightly outside [−1, 1]."""
        return np.array(state.tensors["crop"].data)

    def release(self, state: State) -> None:
        """Keep the state's tensors for the next: idle inference requests hold them in any case."""
        self._released.append((state.batch, state.tensors))

    def close(self) -> None:
        """Free the models' memory."""
        with self._opening:
            self._closed.set()
            self._open.clear()
            self._released.clear()

    def _encode(self, state: State) -> None:
        self._run("encoder", state)
        self._run("mapping", state)

    def _run(self, graph: GraphName, state: State, others: Mapping[str, Any] | None = None) -> None:
        """Run a graph on a state's tensors.

        others  further inputs
        """
        with self._turns, _one_line_errors(self.device):
            with self._opening:
                opened = self._opened(graph, state.batch)
            request = opened.request()
            tensors = {**state.tensors, **(others or {})}
            for port in self._ports(graph):
                request.set_tensor(port.name, tensors[_RENAMED.get(port.name, port.name)])
            request.infer()
            opened.idle.append(request)

    def _ports(self, graph: GraphName) -> tuple[Port, ...]:
        found = self._package.manifest.graphs[graph]
        return (*found.inputs, *found.outputs)

    def _tensors(self, batch: int) -> dict[str, Any]:
        """Return a state's tensors, by port name; their values are arbitrary."""
        with suppress(IndexError):
            released, tensors = self._released.pop()
            if released == batch:
                return tensors
        ports = [port for name in (*RESTORING, "step") for port in self._ports(name)]
        return {port.name: self._tensor(port, batch) for port in ports if port.name not in _UNSHARED}

    def _tensor(self, port: Port, batch: int) -> Any:
        """Return an empty tensor; for a GPU, in host memory that it can access."""
        import openvino

        kind = openvino.Type.f16 if port.dtype == "float16" else openvino.Type.f32
        lengths = _lengths(port, batch)
        shape = openvino.Shape(in_last(lengths) if port.name in self._in_last else lengths)
        if self._where == "CPU":
            return openvino.Tensor(kind, shape)
        return self._core.get_default_context(self._where).create_host_tensor(kind, shape)

    def _uploaded(self, move: Move, batch: int) -> tuple[Any, Any]:
        size = self._package.manifest.size
        picture = self._tensor(Port("picture_gain", "float32", ("batch", 1, size, size)), batch)
        latent = self._tensor(Port("latent_gain", "float32", ("batch", 1)), batch)
        picture.data[:], latent.data[:] = move.picture_gain, move.latent_gain
        return picture, latent

    def _chosen(self, device: Device) -> tuple[Precision, float | None]:
        """Return the format to compute in, and the PSNR of portraits in the device's shorter one, in dB."""
        capability, short = _SHORT[device.kind]
        if capability not in self._core.get_property(self._where, "OPTIMIZATION_CAPABILITIES"):
            return "f32", None
        key = key_of(self._package, target=self._target, version=_version(), precision=short, method=METHOD)
        figures = recall("precision", key)
        if figures is None:
            figures = {"psnr": self._nearness(short)}
            remember("precision", key, figures)
        psnr = figures["psnr"]
        return (short if psnr >= _least_psnr(self._package) else "f32"), psnr

    def _nearness(self, short: Precision) -> float:
        """Return the lowest PSNR of a portrait in a shorter format against FP32 in dB; 0 if one overflows."""
        pictures: dict[Precision, list[Batch]] = {}
        formats: tuple[Precision, Precision] = ("f32", short)
        for precision in formats:
            self.precision = precision
            pictures[precision] = self._passes(_samples(self._package.manifest.size))
            return_freed_memory()  # a fifth of what the networks will take
        errors = [float(np.square(a - b).mean()) for a, b in zip(*pictures.values(), strict=True)]
        if not all(map(math.isfinite, errors)):
            return 0.0
        return decibels(max(*errors, 1e-12), 2)

    def _passes(self, crops: Sequence[Batch]) -> list[Batch]:
        """Return what a pass makes of each crop, with one large model at a time in memory."""
        states = [self.encode(crop) for crop in crops]
        self._open.clear()
        for state in states:
            self.generate(state)
        self._open.clear()
        return [np.clip(self.restored(state), -1, 1) for state in states]

    def _opened(self, graph: GraphName, batch: int) -> _Open:
        """Return the model of a graph for a batch size; it is compiled when it is first needed."""
        if self._closed.is_set():
            raise BackendError("the backend is closed: open it again")
        key = (graph, batch, self.precision if graph in _SHORTENED else "f32", self._side_by_side)
        if key not in self._open:
            self._open[key] = self._from_cache(*key[:3])
        return self._open[key]

    def _from_cache(self, graph: GraphName, batch: int, precision: Precision) -> _Open:
        """Open a compiled model from the cache; a new one is first stored there if the cache can be written.

        Compiling takes several times the memory of its result, so no other model is open meanwhile: they
        are opened again when they are needed. The result is opened from the cache too, as only then the
        weights in the order of the file take no memory.
        """
        built = False
        key = EngineKey(
            graph=graph,
            graph_sha256=self._package.manifest.graphs[graph].sha256,
            runtime=self.name,
            version=_version(),
            target=self._target,
            precision=precision,
            max_batch=batch,
            method=METHOD,
        )

        def build(file: Path) -> EngineRecord:
            nonlocal built
            start, built = time.perf_counter(), True
            self._open.clear()
            model = self._compile(graph, batch, precision)
            with _one_line_errors(self.device, f"cannot keep {graph}.onnx"):
                model.export_model(content := io.BytesIO())
                file.write_bytes(content.getbuffer())
            return EngineRecord(
                key=key,
                sha256="",
                size=0,
                package=self._package.manifest.name,
                built=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                seconds=round(time.perf_counter() - start, 1),
            )

        with suppress(EngineError, OSError):  # a folder that may only be read; a file that was just deleted
            cache = self._cache or EngineCache()
            for rebuild in (False, True):
                file = cache.get(key, build, rebuild=rebuild).path
                with suppress(RuntimeError):  # of another build of OpenVINO, say: compiled again
                    return self._imported(file, precision)
                if built:
                    break
        return _Open(self._compile(graph, batch, precision))

    def _imported(self, file: Path, precision: Precision) -> _Open:
        """Open a compiled model from a file. Raises RuntimeError if OpenVINO refuses it."""
        import openvino

        options = self._options(precision)
        if self._where != "CPU":
            model = self._core.import_model(io.BytesIO(file.read_bytes()), self._where, options)
            return _Open(model)
        mapped = MappedFile(file)
        weights = openvino.Tensor(mapped.content, shared_memory=True)
        opened = _Open(self._core.import_model(weights, self._where, options), mapped)
        opened.idle.append(opened.request())
        mapped.give_back()  # its kernels have copies in the order in which they read them
        return opened

    def _compile(self, graph: GraphName, batch: int, precision: Precision) -> Any:
        ports = self._package.manifest.graphs[graph].inputs
        with _one_line_errors(self.device, f"cannot run {graph}.onnx"):
            model = self._core.read_model(self._package.graph(graph))
            # It is faster where it knows all lengths.
            model.reshape({port.name: _lengths(port, batch) for port in ports})
            if self._where == "CPU":
                model = with_channels_last(rewritten(model), self._in_last)
            return self._core.compile_model(model, self._where, self._options(precision))

    def _options(self, precision: Precision) -> dict[str, Any]:
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if self._where == "CPU":
            # Threads bound to cores would share them with those of the next process.
            options |= {"INFERENCE_NUM_THREADS": self._threads or 0, "ENABLE_CPU_PINNING": False}
        if self._side_by_side > 1:
            options["NUM_STREAMS"] = self._side_by_side
        return options


_FOLLOWING = {"crop": "next_estimate", "w": "next_w"}
"""Outputs of a step, and the inputs that they replace."""
_UNSHARED = ("estimate", "picture_gain", "latent_gain")
"""Inputs of graphs that are not tensors of a state."""


@lru_cache(maxsize=1)
def _core() -> Any:
    return import_openvino().Core()


def _version() -> str:
    """Return OpenVINO's version without the name of its branch."""
    return str(import_openvino().get_version()).split("-releases")[0]


def _named(core: Any, device: Device) -> str:
    """Return OpenVINO's name of a device. Raises BackendError if the device is not found."""
    if device.kind == "cpu":
        return "CPU"
    found = [name for name in core.available_devices if name.partition(".")[0] == "GPU"]
    if device.index >= len(found):
        there = ", ".join(["cpu", *(f"gpu:{i}" for i in range(len(found)))])
        raise BackendError(
            f"OpenVINO finds no Intel GPU {device}, only {there}: check its driver, or use --device cpu"
        )
    return str(found[device.index])


def _target(core: Any, where: str) -> str:
    name = " ".join(str(core.get_property(where, "FULL_DEVICE_NAME")).split())
    able = ",".join(sorted(core.get_property(where, "OPTIMIZATION_CAPABILITIES")))
    return f"{name[:48]} {hashlib.sha256(f'{name} {able}'.encode()).hexdigest()[:8]}"


def _least_psnr(package: Package) -> float:
    quantisation = package.manifest.quantisation
    return LEAST_PSNR if quantisation is None else min(LEAST_PSNR, quantisation.psnr + BESIDE_INT8)


def _format(chosen: Precision, psnr: float | None, short: Precision) -> str:
    """Return which number format was chosen, and why, in words."""
    if psnr is None:
        return _IN_WORDS[chosen]
    if chosen == "f32":
        return f"FP32, as {_IN_WORDS[short]} is only {psnr:.0f} dB near it"
    return f"{_IN_WORDS[chosen]}, {psnr:.0f} dB from FP32"


def _passed_on(package: Package) -> frozenset[str]:
    """Return the names of the values with pixels that the encoder hands to the generator."""
    graphs = package.manifest.graphs
    read = {port.name for port in graphs["generator"].inputs}
    return frozenset(
        port.name for port in graphs["encoder"].outputs if port.name in read and len(port.shape) == 4
    )


def _lengths(port: Port, batch: int) -> list[int]:
    return [batch if isinstance(length, str) else length for length in port.shape]


def _samples(size: int) -> list[Batch]:
    """Return the portrait and a coarse copy of it, as a network meets them, each 1×3×S×S in [−1, 1]."""
    sharp = portraits(size)[:1]
    cell = max(1, size // 64)
    height = size // cell * cell
    coarse = sharp.copy()
    cells = sharp[:, :, :height, :height].reshape(1, 3, height // cell, cell, height // cell, cell)
    coarse[:, :, :height, :height] = cells.mean((3, 5)).repeat(cell, 2).repeat(cell, 3)
    return [sharp, coarse]


@contextmanager
def _one_line_errors(device: str, what: str = "failed") -> Iterator[None]:
    """Turn any failure of OpenVINO into a one-line BackendError."""
    try:
        yield
    except BackendError:
        raise
    except Exception as error:  # its own exceptions are RuntimeErrors, those of its binding anything
        raise BackendError(f"OpenVINO {what} on {device}: {cause_of(error)}") from error
