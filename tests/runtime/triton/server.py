"""A double of Triton: it loads a model repository, checks requests as Triton does, and answers them.

What Python models see of it, `triton_python_backend_utils`, has the names and arguments of the real module
(triton-inference-server/python_backend, src/pb_stub.cc). The outputs of graphs lie on a pretended GPU unless
a request wants them in the CPU's memory, so that reading them here fails as it does there.
"""

import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format, text_format
from numpy.typing import NDArray

from runtime.onnx_session import open_network

_TYPES = {"TYPE_FP32": np.float32, "TYPE_FP16": np.float16, "TYPE_INT32": np.int32, "TYPE_STRING": np.object_}


def published_config() -> Any:
    """Return the class `ModelConfig` that NVIDIA generates from its published protocol; skip without it."""
    try:
        files = importlib.metadata.files("tritonclient") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tritonclient is not installed, and with it Triton's published protocol: pip install it")
    path = next(file.locate() for file in files if str(file) == "tritonclient/grpc/model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)  # the package itself would import gRPC
    spec.loader.exec_module(module)
    return module.ModelConfig


def read_config(folder: Path) -> Any:
    """Return the configuration of a model."""
    return text_format.Parse((folder / "config.pbtxt").read_text(), published_config()())


class Tensor:
    def __init__(self, name: str, array: NDArray[Any], *, on_gpu: bool = False) -> None:
        self._name, self._array, self._on_gpu = name, array, on_gpu

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        if self._on_gpu:
            raise RuntimeError("the tensor is on the GPU")
        return self._array

    def is_cpu(self) -> bool:
        return not self._on_gpu

    @property
    def anywhere(self) -> NDArray[Any]:
        return self._array


class TritonError(Exception):
    INTERNAL, INVALID_ARG = 1, 3

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class InferenceResponse:
    def __init__(self, output_tensors: list[Tensor] | None = None, error: TritonError | None = None) -> None:
        self._tensors, self._error = output_tensors or [], error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error

    def arrays(self) -> dict[str, NDArray[Any]]:
        assert self._error is None, self._error.message()
        return {tensor.name(): tensor.anywhere for tensor in self._tensors}


@dataclass
class PreferredMemory:
    preferred_memory_type: str
    preferred_device_id: int = 0


@dataclass(kw_only=True)
class InferenceRequest:
    model_name: str
    requested_output_names: list[str]
    inputs: list[Tensor]
    preferred_memory: PreferredMemory | None = None
    server: "Server | None" = field(default=None, repr=False)

    def exec(self) -> InferenceResponse:
        server = self.server or Server.running
        assert server is not None
        assert server.executing, "Business Logic Scripting works only while a model executes requests"
        return server.answer(self.model_name, [self])[0]


class Server:
    """A server that has loaded a repository."""

    running: "Server | None" = None

    def __init__(self, repository: Path) -> None:
        Server.running, self.executing = self, False
        self.configs = {folder.name: read_config(folder) for folder in sorted(repository.iterdir())}
        self.batches: dict[str, list[int]] = {name: [] for name in self.configs}
        """The sizes of the batches that each model has had."""
        self._repository = repository
        self._models = {name: self._loaded(name) for name in self.configs}
        for name, config in self.configs.items():
            assert config.name == name
            for sample in config.model_warmup:
                tensors = {
                    key: np.zeros(_full(list(each.dims), sample.batch_size, config), _type(each.data_type))
                    for key, each in sample.inputs.items()
                }
                self.ask(name, **tensors).arrays()

    def ask(self, model: str, **inputs: NDArray[Any]) -> InferenceResponse:
        """Make one request."""
        return self.ask_all(model, [inputs])[0]

    def ask_all(self, model: str, several: list[dict[str, NDArray[Any]]]) -> list[InferenceResponse]:
        """Make requests that the scheduler hands to a Python model together."""
        outputs = [each.name for each in self.configs[model].output]
        requests = [
            InferenceRequest(
                model_name=model,
                requested_output_names=outputs,
                inputs=[Tensor(name, array) for name, array in inputs.items()],
            )
            for inputs in several
        ]
        return self.answer(model, requests)

    def answer(self, model: str, requests: list[InferenceRequest]) -> list[InferenceResponse]:
        config = self.configs[model]
        for request in requests:
            self.batches[model].append(_check(config, request))
        if config.backend == "python":
            outside, self.executing = not self.executing, True
            answers: list[InferenceResponse] = self._models[model].execute(requests)
            self.executing = self.executing and not outside
            assert len(answers) == len(requests)
            for answer in answers:
                if not answer.has_error():
                    _check_ports(config, config.output, answer.output_tensors())
            return answers
        return [self._run(config, request) for request in requests]

    def _run(self, config: Any, request: InferenceRequest) -> InferenceResponse:
        given = {tensor.name(): tensor.anywhere for tensor in request.inputs}
        if config.platform == "ensemble":
            for step in config.ensemble_scheduling.step:
                inputs = {name: given[tensor] for name, tensor in step.input_map.items()}
                made = self.ask(step.model_name, **inputs).arrays()
                given |= {tensor: made[name] for name, tensor in step.output_map.items()}
        else:
            names = [port.name for port in self._models[config.name].get_outputs()]
            given = dict(zip(names, self._models[config.name].run(names, given), strict=True))
        wanted = request.preferred_memory
        here = wanted is not None and wanted.preferred_memory_type == "CPU"
        tensors = [Tensor(name, given[name], on_gpu=not here) for name in request.requested_output_names]
        _check_ports(config, config.output, tensors)
        return InferenceResponse(tensors)

    def _loaded(self, name: str) -> Any:
        config, version = self.configs[name], self._repository / name / "1"
        assert version.is_dir()
        if config.backend == "onnxruntime":
            threads = int(config.parameters["intra_op_thread_count"].string_value)
            return open_network(version / "model.onnx", threads)
        if config.backend != "python":
            return None
        spec = importlib.util.spec_from_file_location(f"model_{name}", version / "model.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.TritonPythonModel()
        described = json_format.MessageToJson(config, preserving_proto_field_name=True)
        model.initialize(
            {
                "model_config": described,
                "model_instance_kind": "CPU",
                "model_instance_device_id": "0",
                "model_repository": str(version.parent),
                "model_version": version.name,
                "model_name": name,
            }
        )
        return model


def python_backend_utils() -> ModuleType:
    """Return the module that Python models import."""
    module = ModuleType("triton_python_backend_utils")

    def of_name(tensors: list[Tensor], name: str) -> Tensor | None:
        return next((tensor for tensor in tensors if tensor.name() == name), None)

    vars(module).update(
        Tensor=Tensor,
        TritonError=TritonError,
        InferenceRequest=InferenceRequest,
        InferenceResponse=InferenceResponse,
        PreferredMemory=PreferredMemory,
        TRITONSERVER_MEMORY_CPU="CPU",
        TRITONSERVER_MEMORY_GPU="GPU",
        get_input_tensor_by_name=lambda request, name: of_name(request.inputs, name),
        get_output_tensor_by_name=lambda response, name: of_name(response.output_tensors(), name),
    )
    return module


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python models import the double, as they import the module inside Triton."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", python_backend_utils())


def _check(config: Any, request: InferenceRequest) -> int:
    """Check a request as Triton does; return its batch size."""
    given = {tensor.name() for tensor in request.inputs}
    assert {port.name for port in config.input if not port.optional} <= given
    assert set(request.requested_output_names) <= {port.name for port in config.output}
    return _check_ports(config, config.input, request.inputs)


def _check_ports(config: Any, ports: Any, tensors: list[Tensor]) -> int:
    """Check types and shapes; return the batch size."""
    named = {port.name: port for port in ports}
    batches = set()
    for tensor in tensors:
        port, array = named[tensor.name()], tensor.anywhere
        assert array.dtype == _type(port.data_type), tensor.name()
        batch = array.shape[0] if config.max_batch_size else 1
        assert list(array.shape) == _full(list(port.dims), batch, config), tensor.name()
        batches.add(batch)
    (batch,) = batches
    assert batch <= max(1, config.max_batch_size)
    return int(batch)


def _full(dims: list[int], batch: int, config: Any) -> list[int]:
    return [batch, *dims] if config.max_batch_size else dims


def _type(number: int) -> Any:
    names = published_config().DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
    return _TYPES[names[number].name]
