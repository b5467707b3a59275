"""ONNX Runtime, on the CPU or, with one of its execution providers, on an NVIDIA GPU."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError
from base.text import cause_of
from engines.package import RESTORING, GraphName, Package, Port
from runtime.network.backends import Batch, Move, Provider
from runtime.network.backends.batch_size import IN_ONNXRUNTIME, MEMORY, most_faces
from runtime.network.backends.renewed_step import moved
from runtime.onnx_session import free_memory, import_onnxruntime, open_network

MAX_BATCH = 4
"""Largest number of crops in a batch, if memory allows."""

CUDA = "CUDAExecutionProvider"

_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})


@dataclass(eq=False)
class State:
    """A batch between half passes: arrays on the device, allocated once and overwritten by every pass."""

    estimate: Any
    """u"""
    w: Any
    features: dict[str, Any]
    restored: Any
    """r"""
    change: Any
    next_estimate: Any
    next_w: Any
    """The step's outputs; the encoder also writes z here, which only the mapping reads."""
    moves: list[tuple[Any, Any]]
    """For each move, the gains of the picture and of the latent."""
    count: int
    """Number of crops; the rest of the batch repeats the last one."""
    moved: bool = False
    """Whether the estimate has moved since it was encoded."""


class OnnxRuntimeBackend:
    """The graphs of a package in ONNX Runtime."""

    name = "onnxruntime"

    def __init__(
        self,
        package: Package,
        *,
        device: str,
        provider: Provider | None = None,
        threads: int | None = None,
        memory: float = MEMORY,
        why: str = "requested",
    ) -> None:
        """Open the graphs that every photo needs.

        provider  execution provider on a GPU; None selects `cuda`
        memory    bound on the memory of the networks and a batch, in GB

        Raises BackendError if ONNX Runtime, the provider or the device is not available.
        """
        self.device, self.why = device, why
        self.max_batch = most_faces(package, IN_ONNXRUNTIME, memory, MAX_BATCH)
        self._package, self._threads, self._provider = package, threads, provider or "cuda"
        self.fills = device != "cpu" and self._provider == "cuda"
        """Whether batches of more than one crop are filled up to `max_batch`, and both sizes get sessions of
        their own: at every change of size, a CUDA session spends a second on the choice of its algorithms.
        """
        self._sessions = {(graph, self._size_for(1)): self._open(graph) for graph in RESTORING}
        self._closed = False
        self._features = package.manifest.graphs["encoder"].outputs[1:]
        self.renews = package.manifest.loop_kind == "renewed"

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> State:
        """Upload B×3×S×S crops in [−1, 1] and the moves of their steps, and encode them."""
        count, width = len(crops), self._package.manifest.latent_width
        batch = self._size_for(count) or count
        # A copy: on the CPU an array is shared, not uploaded, and later passes overwrite the estimate.
        estimate, z, w = (
            self._upload(_filled(crops, batch)),
            self._empty(batch, width),
            self._empty(batch, width),
        )
        features = {
            port.name: self._empty(batch, *port.shape[1:], dtype=port.dtype) for port in self._features
        }
        self._encode(estimate, z, w, features)
        return State(
            estimate=estimate,
            w=w,
            features=features,
            restored=self._empty(batch, *crops.shape[1:]),
            change=self._empty(batch, 1),
            next_estimate=self._empty(batch, *crops.shape[1:]),
            next_w=z,  # z is no longer needed
            moves=[
                (
                    self._upload(_filled(move.picture_gain, batch)),
                    self._upload(np.full((batch, 1), move.latent_gain, np.float32)),
                )
                for move in moves
            ],
            count=count,
        )

    def generate(self, state: State) -> None:
        """Compute r from the state's latent and features."""
        if self.renews and state.moved:
            self._encode(state.estimate, state.next_w, state.w, state.features)
            state.moved = False
        self._run("generator", {"w": state.w, **state.features}, {"restored": state.restored})

    def step(self, state: State, move: int) -> NDArray[np.float32]:
        """Move the estimate and, unless it is re-encoded, the latent; return the relative change, B."""
        picture_gain, latent_gain = state.moves[move]
        state.moved = True
        if self.renews and self._package.manifest.moves_latent:
            return self._move_here(state, self._download(picture_gain))[: state.count]
        inputs = {"estimate": state.estimate, "restored": state.restored, "picture_gain": picture_gain}
        outputs = {"next_estimate": state.next_estimate, "change": state.change}
        if not self.renews:
            inputs |= {"w": state.w, "latent_gain": latent_gain}
            outputs |= {"next_w": state.next_w}
        self._run("step", inputs, outputs)
        state.estimate, state.next_estimate = state.next_estimate, state.estimate
        if not self.renews:
            state.w, state.next_w = state.next_w, state.w
        return self._download(state.change)[: state.count, 0]

    def restored(self, state: State) -> Batch:
        """Return the restored crops, B×3×S×S, in or slightly outside [−1, 1]."""
        return self._download(state.restored)[: state.count]

    def estimate(self, state: State) -> Batch:
        """Return the current estimate, B×3×S×S, in or slightly outside [−1, 1]."""
        return self._download(state.estimate)[: state.count]

    def release(self, state: State) -> None:
        """Do nothing: a state's memory is freed with it."""

    def close(self) -> None:
        """Free the sessions' memory."""
        self._closed = True
        mapping = self._sessions.get(("mapping", self._size_for(1)))
        self._sessions.clear()
        if mapping is not None:
            with suppress(Exception):  # it is freed at the end of the process in any case
                free_memory(mapping, {"z": np.zeros((1, self._package.manifest.latent_width), np.float32)})

    def _size_for(self, count: int) -> int | None:
        """Return the size of the batch that so many crops fill, or None for any."""
        return (1 if count == 1 else self.max_batch) if self.fills else None

    def _encode(self, estimate: Any, z: Any, w: Any, features: dict[str, Any]) -> None:
        self._run("encoder", {"crop": estimate}, {"z": z, **features})
        self._run("mapping", {"z": z}, {"w": w})

    def _move_here(self, state: State, gain: NDArray[np.float32]) -> NDArray[np.float32]:
        """Move the estimate without the package's step, which was exported for another loop."""
        estimate, change = moved(self._download(state.estimate), self._download(state.restored), gain)
        state.estimate = self._upload(estimate)
        return change

    def _open(self, graph: GraphName) -> Any:
        kind, index = place(self.device)
        ports = self._package.manifest.graphs[graph].inputs
        chosen = providers(self._provider, index, ports, self.max_batch) if kind == "cuda" else [_CPU]
        return _open(self._package.graph(graph), self.device, chosen, self._threads)

    def _run(self, graph: GraphName, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Run a graph on arrays that are on the device."""
        if self._closed:
            raise BackendError("the backend is closed: open it again")
        key = graph, self._size_for(next(iter(inputs.values())).shape()[0])
        if key not in self._sessions:  # the step graph is opened late: a single pass never uses it
            self._sessions[key] = self._open(graph)
        session = self._sessions[key]
        with _one_line_errors(self.device):
            binding = session.io_binding()
            for name, value in inputs.items():
                binding.bind_ortvalue_input(name, value)
            for name, value in outputs.items():
                binding.bind_ortvalue_output(name, value)
            session.run_with_iobinding(binding)

    def _upload(self, array: NDArray[np.float32]) -> Any:
        import onnxruntime

        with _one_line_errors(self.device):
            return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), *place(self.device))

    def _empty(self, *shape: int | str, dtype: str = "float32") -> Any:
        import onnxruntime

        with _one_line_errors(self.device):
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                shape, np.dtype(dtype).type, *place(self.device)
            )

    def _download(self, value: Any) -> NDArray[np.float32]:
        with _one_line_errors(self.device):
            return np.array(value.numpy())


def _filled(array: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
    """Return a copy of B×…, filled up with its last element."""
    return np.pad(array, [(0, batch - len(array)), *[(0, 0)] * (array.ndim - 1)], mode="edge")


@contextmanager
def _one_line_errors(device: str) -> Iterator[None]:
    """Turn any failure of ONNX Runtime into a one-line BackendError."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's exceptions have no common public base class
        hint = "" if device == "cpu" else "; if it happens again, use --device cpu"
        raise BackendError(f"ONNX Runtime failed on {device}: {cause_of(error)}{hint}") from error


def place(device: str) -> tuple[str, int]:
    """Return `cuda:1` as ONNX Runtime's ("cuda", 1)."""
    kind, _, index = device.partition(":")
    return kind, int(index or 0)


def cuda_provider(index: int) -> tuple[str, dict[str, str]]:
    """Return the CUDA provider with its options: TF32 is disabled so that FP32 stays FP32."""
    return CUDA, {"device_id": str(index), "use_tf32": "0"}


def providers(
    provider: Provider, index: int, ports: Sequence[Port], max_batch: int
) -> list[tuple[str, dict[str, str]]]:
    """Return the execution providers to request, the wanted one first, with their options.

    TensorRT gets the range of batch sizes, or it would rebuild for each.
    """
    cuda = cuda_provider(index)
    if provider == "cuda":
        return [cuda]
    prefix, name = (
        ("trt", "TensorrtExecutionProvider")
        if provider == "tensorrt"
        else ("nv", "NvTensorRTRTXExecutionProvider")
    )
    options = {"device_id": str(index)}
    for bound, batch in (("min", 1), ("opt", 1), ("max", max_batch)):
        shapes = (
            f"{port.name}:{'x'.join(str(batch if isinstance(n, str) else n) for n in port.shape)}"
            for port in ports
        )
        options[f"{prefix}_profile_{bound}_shapes"] = ",".join(shapes)
    # Operators that TensorRT lacks run on CUDA; TensorRT-RTX ships without a CUDA provider.
    return [(name, options), cuda] if provider == "tensorrt" else [(name, options)]


def _open(graph: Path, device: str, chosen: list[tuple[str, dict[str, str]]], threads: int | None) -> Any:
    wanted = chosen[0][0]
    if wanted not in import_onnxruntime("this backend").get_available_providers():
        how = (
            "pip uninstall onnxruntime onnxruntime-gpu, then pip install onnxruntime-trt-rtx, or use "
            "--provider cuda"
            if wanted.startswith("Nv")
            else "pip install 'gpen-edge[gpu]' in place of 'gpen-edge[cpu]', or use --device cpu"
        )
        raise BackendError(f"this ONNX Runtime cannot use {device}: it has no {wanted}: {how}")
    session = open_network(graph, threads, chosen)
    if session.get_providers()[0] != wanted:  # ONNX Runtime falls back to the CPU without an error
        raise BackendError(
            f"ONNX Runtime could not start {wanted} on {device}: check its driver, or use --device cpu"
        )
    return session
