"""The configurations of Triton's models (github.com/triton-inference-server/common, model_config.proto).

ONNX Runtime's `precision_mode` is never set: it would let TensorRT choose precisions, while the precision of
our graphs is in their own types, and what has to stay in FP32 would overflow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from base.setting import Range, option
from engines.package import Graph, GraphName, Manifest, Port
from export.triton.text_format import Name, map_of

Config = dict[str, Any]
"""The fields of a `ModelConfig`."""
Kind = Literal["auto", "cpu", "gpu"]

QUEUE_DELAY = 1000
"""Microseconds that a request waits for others to share its batch: short compared with the time of a face."""
LATEST = -1
"""The version of a model that an ensemble calls."""
_TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16"}


@dataclass(frozen=True)
class Serving:
    """How the models of a package are served."""

    prefix: str
    """The package's part of the models' names."""
    max_batch: int = option(8, "Largest number of faces in a batch.", range=Range(1), metavar="N")
    """0 if the graphs accept exactly one."""
    kind: Kind = option("auto", "Where the ONNX graphs run; auto is on the server's GPUs, if it has any.")
    instances: int = option(1, "Instances of each graph on each device.", range=Range(1), metavar="N")
    photos: int = option(2, "Photos that are restored at once.", range=Range(1), metavar="N")
    threads: int = option(0, "CPU threads of each instance; 0: one per core.", range=Range(0), metavar="N")
    max_megapixels: float = option(
        100, "Refuse photos above this size.", range=Range(0, 1e9, above=True), metavar="N"
    )

    def name(self, model: str) -> str:
        """Return Triton's name of a model."""
        return f"{self.prefix}_{model}"


def graph_config(
    graph: GraphName, manifest: Manifest, serving: Serving, plans: Mapping[str, str] | None = None
) -> Config:
    """Return the configuration of a graph, in ONNX Runtime or as TensorRT plans.

    plans  the file of each compute capability, such as `8.9`, and under `default` that of all others; None
           for ONNX Runtime
    """
    described = manifest.graphs[graph]
    ways: Config = {"backend": "onnxruntime"}
    if plans is not None:
        files = {capability: file for capability, file in plans.items() if capability != "default"}
        ways = {
            "backend": "tensorrt",
            "default_model_filename": plans.get("default"),
            "cc_model_filenames": map_of(files),
        }
    kind = "gpu" if plans is not None else serving.kind
    batching: Config = {}
    if serving.max_batch:
        batching["dynamic_batching"] = {"max_queue_delay_microseconds": QUEUE_DELAY}
    if plans is None:
        threads = {"intra_op_thread_count": {"string_value": str(serving.threads)}}
        batching["parameters"] = map_of(threads)
    return {
        "name": serving.name(graph),
        **ways,
        "max_batch_size": serving.max_batch,
        **_ports(described, serving),
        "instance_group": {"kind": Name(f"KIND_{kind.upper()}"), "count": serving.instances},
        **batching,
        "model_warmup": _warm_up(described, serving),
    }


def classic_config(manifest: Manifest, serving: Serving) -> Config:
    """Return the configuration of the ensemble that makes one pass at full strength: `crop` → `restored`."""
    steps: Sequence[GraphName] = ("encoder", "mapping", "generator")
    first, last = manifest.graphs[steps[0]].inputs, manifest.graphs[steps[-1]].outputs
    return {
        "name": serving.name("classic"),
        "platform": "ensemble",
        "max_batch_size": serving.max_batch,
        "input": [_port(port, serving) for port in first],
        "output": [_port(port, serving) for port in last],
        "ensemble_scheduling": {"step": [_step(manifest.graphs[step], serving.name(step)) for step in steps]},
    }


def loop_config(manifest: Manifest, serving: Serving) -> Config:
    """Return the configuration of the Python model of the loop."""
    size, batch = manifest.size, serving.max_batch
    ahead = [] if batch else [1]
    inputs: list[Config] = [
        {"name": "crop", "data_type": Name("TYPE_FP32"), "dims": [*ahead, size, size, 3]},
        {"name": "rho", "data_type": Name("TYPE_FP32"), "dims": [*ahead, size, size], "optional": True},
        {"name": "settings", "data_type": Name("TYPE_STRING"), "dims": [*ahead, 1], "optional": True},
    ]
    outputs = [
        {"name": "restored", "data_type": Name("TYPE_FP32"), "dims": [*ahead, size, size, 3]},
        {"name": "passes", "data_type": Name("TYPE_INT32"), "dims": [*ahead, 1]},
        {"name": "steps", "data_type": Name("TYPE_INT32"), "dims": [*ahead, 1]},
    ]
    batching = {"dynamic_batching": {"max_queue_delay_microseconds": QUEUE_DELAY}} if batch else {}
    return _python("loop", batch, inputs, outputs, serving) | batching


def photo_config(serving: Serving) -> Config:
    """Return the configuration of the Python model of whole photos."""
    inputs: list[Config] = [
        {"name": "photo", "data_type": Name("TYPE_STRING"), "dims": [1]},
        {"name": "settings", "data_type": Name("TYPE_STRING"), "dims": [1], "optional": True},
    ]
    outputs = [
        {"name": name, "data_type": Name("TYPE_STRING"), "dims": [1]}
        for name in ("restored", "format", "report")
    ]
    return _python("photo", 0, inputs, outputs, serving)


def _python(
    model: str, max_batch: int, inputs: list[Config], outputs: list[Config], serving: Serving
) -> Config:
    """Return the configuration of a Python model.

    It has no warm-up: the graphs that it calls have theirs, and Triton may load them after it.
    """
    parameters = {
        "prefix": serving.prefix,
        "max_batch": str(serving.max_batch or 1),
        "max_megapixels": f"{serving.max_megapixels:g}",
        "threads": str(serving.threads),
    }
    return {
        "name": serving.name(model),
        "backend": "python",
        "max_batch_size": max_batch,
        "input": inputs,
        "output": outputs,
        "instance_group": {"kind": Name("KIND_CPU"), "count": serving.photos},
        "parameters": map_of({name: {"string_value": value} for name, value in parameters.items()}),
    }


def _ports(graph: Graph, serving: Serving) -> Config:
    return {
        "input": [_port(port, serving) for port in graph.inputs],
        "output": [_port(port, serving) for port in graph.outputs],
    }


def _port(port: Port, serving: Serving) -> Config:
    dims = [1 if isinstance(length, str) else length for length in port.shape]
    data_type = Name(_TYPES[port.dtype])
    return {"name": port.name, "data_type": data_type, "dims": dims[1:] if serving.max_batch else dims}


def _step(graph: Graph, model: str) -> Config:
    """Return a step of an ensemble, whose tensors have the names that the graphs use."""
    return {
        "model_name": model,
        "model_version": LATEST,
        "input_map": map_of({port.name: port.name for port in graph.inputs}),
        "output_map": map_of({port.name: port.name for port in graph.outputs}),
    }


def _warm_up(graph: Graph, serving: Serving) -> list[Config]:
    """Return requests that Triton makes before a model is ready: of one crop, and of the largest batch."""
    samples = []
    for count in dict.fromkeys((1, serving.max_batch or 1)):
        inputs = {}
        for port in graph.inputs:
            described = _port(port, serving)
            inputs[port.name] = {
                "data_type": described["data_type"],
                "dims": described["dims"],
                "zero_data": True,
            }
        samples.append({"name": f"batch_{count}", "batch_size": count, "inputs": map_of(inputs)})
    return samples
