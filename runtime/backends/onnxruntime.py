"""ONNX Runtime, on the CPU or on a CUDA device."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.package import GraphName, Package
from runtime.backends import Batch


@dataclass(eq=False)
class State:
    """A batch between two half passes: arrays on the device, made once and written again by every pass."""

    first_latent: NDArray[np.float32]
    """z₀"""
    estimate: Any
    """u"""
    w: Any
    features: dict[str, Any]
    restored: Any
    """r"""
    change: Any
    next_estimate: Any
    next_w: Any


class OnnxRuntimeBackend:
    """The graphs of a package in ONNX Runtime."""

    name = "onnxruntime"
    max_batch = 4

    def __init__(self, package: Package, *, device: str, threads: int | None = None) -> None:
        self.device = device
        self._package, self._threads = package, threads
        self._encoder = self._open("encoder")
        self._mapping = self._open("mapping")
        self._generator = self._open("generator")
        self._features = package.manifest.graphs["encoder"].outputs[1:]

    @cached_property
    def _step(self) -> Any:
        """Opened when it is first needed: a single pass never steps."""
        return self._open("step")

    def encode(self, crops: Batch) -> State:
        """Take in B×3×S×S crops in [−1, 1]."""
        batch, style_dim = len(crops), self._package.manifest.style_dim
        # A copy: an array on the CPU is not uploaded but shared, and later passes write into the estimate.
        estimate, z, w = (
            self._upload(crops.copy()),
            self._empty(batch, style_dim),
            self._empty(batch, style_dim),
        )
        features = {
            port.name: self._empty(batch, *port.shape[1:], dtype=port.dtype) for port in self._features
        }
        _run(self._encoder, {"crop": estimate}, {"z": z, **features})
        _run(self._mapping, {"z": z}, {"w": w})
        return State(
            first_latent=z.numpy().copy(),
            estimate=estimate,
            w=w,
            features=features,
            restored=self._empty(*crops.shape),
            change=self._empty(batch, 1),
            next_estimate=self._empty(*crops.shape),
            next_w=z,  # z is done with
        )

    def first_latent(self, state: State) -> NDArray[np.float32]:
        """Return z₀, B×D."""
        return state.first_latent

    def generate(self, state: State) -> None:
        """Make r of the state's latent and features."""
        _run(self._generator, {"w": state.w, **state.features}, {"restored": state.restored})

    def step(
        self, state: State, picture_gain: NDArray[np.float32], latent_gain: float
    ) -> NDArray[np.float32]:
        """Move the estimate and the latent; return the latent's relative change, B."""
        inputs = {
            "estimate": state.estimate,
            "restored": state.restored,
            "picture_gain": self._upload(picture_gain),
            "w": state.w,
            "latent_gain": self._upload(np.full((len(picture_gain), 1), latent_gain, np.float32)),
        }
        outputs = {"next_estimate": state.next_estimate, "next_w": state.next_w, "change": state.change}
        _run(self._step, inputs, outputs)
        state.estimate, state.next_estimate = state.next_estimate, state.estimate
        state.w, state.next_w = state.next_w, state.w
        return np.array(state.change.numpy()[:, 0])

    def restored(self, state: State) -> Batch:
        """Return the restored crops, B×3×S×S in [−1, 1] or a little beyond."""
        return np.array(state.restored.numpy())

    def close(self) -> None:
        """Give back the sessions' memory."""
        self.__dict__.pop("_step", None)
        del self._encoder, self._mapping, self._generator

    def _open(self, graph: GraphName) -> Any:
        return _open(self._package.graph(graph), self.device, self._threads)

    def _upload(self, array: NDArray[np.float32]) -> Any:
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), *_place(self.device))

    def _empty(self, *shape: int | str, dtype: str = "float32") -> Any:
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            shape, np.dtype(dtype).type, *_place(self.device)
        )


def _run(session: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    """Run a session from arrays on the device into arrays on the device."""
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)
    session.run_with_iobinding(binding)


def _place(device: str) -> tuple[str, int]:
    """Return `cuda:1` as ONNX Runtime's ("cuda", 1)."""
    kind, _, index = device.partition(":")
    return kind, int(index or 0)


def cuda_is_there() -> bool:
    """Return whether this ONNX Runtime was built for CUDA."""
    try:
        import onnxruntime
    except ImportError:
        return False
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _open(graph: Path, device: str, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError("ONNX Runtime is not installed: pip install 'gpen-edge[cpu]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # The threads of one session must not spin on the cores that the next one's threads work on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    kind, index = _place(device)
    provider = (f"{kind.upper()}ExecutionProvider", {"device_id": str(index)} if kind == "cuda" else {})
    if provider[0] not in onnxruntime.get_available_providers():
        raise BackendError(
            f"this ONNX Runtime cannot use {device}: "
            "pip install 'gpen-edge[gpu]' in place of 'gpen-edge[cpu]', or take --device cpu"
        )
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=[provider])
    except Exception as error:  # ONNX Runtime's own exceptions have no common public base
        raise BackendError(f"ONNX Runtime does not take {graph}: {str(error).splitlines()[0]}") from error
    if session.get_providers()[0] != provider[0]:  # it falls back to the CPU without an error
        raise BackendError(
            f"ONNX Runtime could not start on {device}: look at its driver, or take --device cpu"
        )
    return session
