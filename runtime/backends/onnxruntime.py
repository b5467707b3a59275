"""ONNX Runtime, on the CPU."""

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
    """A batch between two half passes; ONNX Runtime's own arrays, so nothing is copied between its graphs."""

    z: Any
    estimate: Any
    """u"""
    w: Any
    features: dict[str, Any]
    restored: Any = None
    """r"""


class OnnxRuntimeBackend:
    """The graphs of a package in ONNX Runtime."""

    name = "onnxruntime"
    device = "cpu"
    max_batch = 4

    def __init__(self, package: Package, *, threads: int | None = None) -> None:
        self._package, self._threads = package, threads
        self._encoder = self._open("encoder")
        self._mapping = self._open("mapping")
        self._generator = self._open("generator")
        self._features = [port.name for port in package.manifest.graphs["encoder"].outputs[1:]]

    @cached_property
    def _step(self) -> Any:
        """Opened when it is first needed: a single pass never steps."""
        return self._open("step")

    def encode(self, crops: Batch) -> State:
        """Take in B×3×S×S crops in [−1, 1]."""
        estimate = _value(crops)
        z, *features = _run(self._encoder, {"crop": estimate}, ["z", *self._features])
        (w,) = _run(self._mapping, {"z": z}, ["w"])
        return State(z, estimate, w, dict(zip(self._features, features, strict=True)))

    def first_latent(self, state: State) -> NDArray[np.float32]:
        """Return z₀, B×D."""
        return np.asarray(state.z.numpy(), np.float32)

    def generate(self, state: State) -> None:
        """Make r of the state's latent and features."""
        (state.restored,) = _run(self._generator, {"w": state.w, **state.features}, ["restored"])

    def step(
        self, state: State, picture_gain: NDArray[np.float32], latent_gain: float
    ) -> NDArray[np.float32]:
        """Move the estimate and the latent; return the latent's relative change, B."""
        inputs = {
            "estimate": state.estimate,
            "restored": state.restored,
            "picture_gain": _value(picture_gain),
            "w": state.w,
            "latent_gain": _value(np.full((len(picture_gain), 1), latent_gain, np.float32)),
        }
        outputs = ["next_estimate", "next_w", "change"]
        state.estimate, state.w, change = _run(self._step, inputs, outputs)
        return np.asarray(change.numpy()[:, 0])

    def restored(self, state: State) -> Batch:
        """Return the restored crops, B×3×S×S in [−1, 1] or a little beyond."""
        return np.asarray(state.restored.numpy())

    def close(self) -> None:
        """Give back the sessions' memory."""
        self.__dict__.pop("_step", None)
        del self._encoder, self._mapping, self._generator

    def _open(self, graph: GraphName) -> Any:
        return _open(self._package.graph(graph), self._threads)


def _value(array: NDArray[np.float32]) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _run(session: Any, inputs: dict[str, Any], outputs: list[str]) -> list[Any]:
    return session.run_with_ort_values(outputs, inputs)  # type: ignore[no-any-return]


def _open(graph: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError("ONNX Runtime is not installed: pip install 'gpen-edge[cpu]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # The threads of one session must not spin on the cores that the next one's threads work on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common public base
        raise BackendError(f"ONNX Runtime does not take {graph}: {str(error).splitlines()[0]}") from error
