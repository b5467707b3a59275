"""OpenVINO as a runner of Polygraphy, which has none of its own."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polygraphy.backend.base import BaseRunner
from polygraphy.common import TensorMetadata

from engines.openvino_api import import_openvino


class OpenVinoRunner(BaseRunner):  # type: ignore[misc]
    """A model on the CPU, in FP32."""

    def __init__(self, model: bytes) -> None:
        super().__init__(name="openvino")
        self._model = model

    def activate_impl(self) -> None:
        """Compile the model."""
        core = import_openvino().Core()
        self._read = core.read_model(self._model)
        self._compiled = core.compile_model(self._read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def deactivate_impl(self) -> None:
        """Free the model."""
        del self._compiled, self._read

    def get_input_metadata_impl(self) -> TensorMetadata:
        """Return names, types and shapes of the inputs."""
        metadata = TensorMetadata()
        for port in self._compiled.inputs:
            lengths = [length.get_length() if length.is_static else None for length in port.partial_shape]
            metadata.add(port.any_name, dtype=port.element_type.to_dtype(), shape=lengths)
        return metadata

    def infer_impl(self, feed: Mapping[str, NDArray[Any]]) -> "OrderedDict[str, NDArray[Any]]":
        """Return the outputs by their names."""
        start = time.time()
        results = self._compiled(dict(feed))
        self.inference_time = time.time() - start
        return OrderedDict(
            (name, np.array(value)) for port, value in results.items() for name in sorted(port.names)
        )
