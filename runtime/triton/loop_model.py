"""A Triton model of the loop: aligned crops in, restored crops out.

Inputs   crop      B×S×S×3 float32, RGB in [0, 1]
         rho       B×S×S float32, optional: the region weights ρ, else 1
         settings  optional: a JSON object of settings, see `runtime.read_settings`
Outputs  restored  B×S×S×3 float32 in [0, 1], see `LoopResult.restored`
         passes    B×1 int32: the number of network passes
         steps     B×1 int32: the number of steps; κ = (1 − ηρ)^steps is the photo's share
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from base.errors import GpenEdgeError
from runtime.network.loop import LoopResult, restore_crops
from runtime.network.schedule import most_passes_of
from runtime.settings.settings import RestoreSettings
from runtime.triton.serving import answer_error, served, settings_of


@dataclass(frozen=True, eq=False)
class Asked:
    """What a request asks for."""

    crops: NDArray[np.float32]
    rho: NDArray[np.float32]
    settings: RestoreSettings


class TritonPythonModel:
    """The loop of one package."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the manifest; the graphs are other models of the server."""
        self._served = served(args)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Restore the crops of several requests; those with equal settings go together."""
        answers: dict[int, Any] = {}
        asked: dict[int, Asked] = {}
        for i, request in enumerate(requests):
            try:
                asked[i] = _asked(request, self._served.package.manifest.size)
            except Exception as error:  # one bad request must not fail the others
                answers[i] = answer_error(error)
        while asked:
            settings = next(iter(asked.values())).settings
            group = {i: each for i, each in asked.items() if each.settings == settings}
            answers |= self._answer(group, settings)
            asked = {i: each for i, each in asked.items() if i not in group}
        return [answers[i] for i in range(len(requests))]

    def _answer(self, group: Mapping[int, Asked], settings: RestoreSettings) -> dict[int, Any]:
        crops = np.concatenate([each.crops for each in group.values()])
        rho = np.concatenate([each.rho for each in group.values()])
        backend, most = self._served.backend, most_passes_of(self._served.package)
        try:
            results = iter(restore_crops(backend, crops, rho, settings, most=most))
        except Exception as error:
            return dict.fromkeys(group, answer_error(error))
        return {i: _answer([next(results) for _ in each.crops]) for i, each in group.items()}


def _asked(request: Any, size: int) -> Asked:
    """Return the content of a request. Raises GpenEdgeError."""
    crops = pb_utils.get_input_tensor_by_name(request, "crop").as_numpy()
    if crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
        raise GpenEdgeError(f"crop is {crops.shape}: give B×{size}×{size}×3, RGB in [0, 1]")
    given = pb_utils.get_input_tensor_by_name(request, "rho")
    rho = np.ones(crops.shape[:3], np.float32) if given is None else given.as_numpy()
    if rho.shape != crops.shape[:3]:
        raise GpenEdgeError(f"rho is {rho.shape}: give a weight for each pixel, {crops.shape[:3]}")
    return Asked(crops, rho, settings_of(request))


def _answer(results: list[LoopResult]) -> Any:
    outputs = {
        "restored": np.stack([result.restored for result in results]),
        "passes": np.array([[result.passes] for result in results], np.int32),
        "steps": np.array([[result.steps] for result in results], np.int32),
    }
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
