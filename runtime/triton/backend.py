"""The networks of a package as models of the Triton server that this process belongs to.

They are called by Business Logic Scripting, which Triton allows only while a Python model executes requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from base.errors import BackendError
from base.text import one_line
from engines.package import RESTORING, GraphName, Manifest
from runtime.network.backends.protocol import Batch, Move
from runtime.network.backends.renewed_step import moved

Tensors = dict[str, Any]
"""Triton's tensors by name."""


@dataclass(eq=False)
class State:
    """A batch between half passes. The latent and the features stay on the device where the models put
    them."""

    estimate: Batch
    """u"""
    w: Any
    features: list[Any]
    moves: Sequence[Move]
    restored: Batch | None = None
    """r"""
    moved: bool = False
    """Whether the estimate has moved since it was encoded."""


class TritonBackend:
    """The graphs of a package as models of one server."""

    name = "triton"
    device = "server"
    why = "runs inside Triton"

    def __init__(self, manifest: Manifest, models: Mapping[GraphName, str], max_batch: int) -> None:
        """Create it; no model is called yet.

        models     Triton's names of the models, by graph
        max_batch  largest number of crops that the models accept
        """
        self.max_batch = max_batch
        self.renews = manifest.loop_kind == "renewed"
        self._manifest, self._models = manifest, models

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> State:
        """Encode B×3×S×S crops in [−1, 1]."""
        w, features = self._encode(crops)
        return State(crops, w, features, moves)

    def generate(self, state: State) -> None:
        """Compute r from the state's latent and features."""
        if self.renews and state.moved:
            state.w, state.features = self._encode(state.estimate)
            state.moved = False
        made = self._run("generator", [state.w, *state.features], here=True)
        state.restored = _array(made["restored"])

    def step(self, state: State, move: int) -> NDArray[np.float32]:
        """Move the estimate and, unless it is encoded again, the latent; return the relative change, B."""
        wanted, restored = state.moves[move], self.restored(state)
        state.moved = True
        if self.renews and self._manifest.moves_latent:
            state.estimate, change = moved(state.estimate, restored, wanted.picture_gain)
            return change
        inputs = [
            _tensor("estimate", state.estimate),
            _tensor("restored", restored),
            _tensor("picture_gain", wanted.picture_gain),
        ]
        if not self.renews:
            gain = np.full((len(restored), 1), wanted.latent_gain, np.float32)
            inputs += [state.w, _tensor("latent_gain", gain)]
        made = self._run("step", inputs, here=True)
        state.estimate = _array(made["next_estimate"])
        if not self.renews:
            state.w = _tensor("w", _array(made["next_w"]))
        return _array(made["change"])[:, 0]

    def restored(self, state: State) -> Batch:
        """Return the restored crops, B×3×S×S, in or slightly outside [−1, 1]."""
        assert state.restored is not None
        return state.restored

    def estimate(self, state: State) -> Batch:
        """Return the current estimate, B×3×S×S, in or slightly outside [−1, 1]."""
        return state.estimate

    def release(self, state: State) -> None:
        """Do nothing: a state's memory is freed with it."""

    def close(self) -> None:
        """Do nothing: the models belong to the server."""

    def _encode(self, crops: Batch) -> tuple[Any, list[Any]]:
        encoded = self._run("encoder", [_tensor("crop", crops)])
        mapped = self._run("mapping", [encoded.pop("z")])
        return mapped["w"], list(encoded.values())

    def _run(self, graph: GraphName, inputs: list[Any], *, here: bool = False) -> Tensors:
        """Call a model and return all of its outputs. Raises BackendError.

        here  download the outputs; otherwise they stay on the model's device
        """
        outputs = [port.name for port in self._manifest.graphs[graph].outputs]
        options: dict[str, Any] = {}
        if here:
            memory = pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0)
            options["preferred_memory"] = memory
        request = pb_utils.InferenceRequest(
            model_name=self._models[graph], requested_output_names=outputs, inputs=inputs, **options
        )
        response = request.exec()
        if response.has_error():
            message = one_line(response.error().message())
            raise BackendError(f"Triton's model {self._models[graph]} failed: {message}")
        return {name: pb_utils.get_output_tensor_by_name(response, name) for name in outputs}


def models_of(prefix: str) -> dict[GraphName, str]:
    """Return Triton's names of a package's models, by graph.

    prefix  the package's part of the names
    """
    return {graph: f"{prefix}_{graph}" for graph in (*RESTORING, "step")}


def _tensor(name: str, array: NDArray[np.float32]) -> Any:
    return pb_utils.Tensor(name, np.ascontiguousarray(array, np.float32))


def _array(tensor: Any) -> NDArray[np.float32]:
    """Return a copy of a tensor in this process's memory; Triton reuses the tensor's own."""
    return np.array(tensor.as_numpy())
