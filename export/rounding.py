"""Half precision as on hardware, simulated in ONNX Runtime on a CPU.

The CPU has few FP16 kernels: ONNX Runtime computes the rest in FP32 between casts, and then removes adjacent
casts, even those of the graph. Values between two nodes are then not rounded at all, and a graph that
overflows on a GPU looks correct. Here every FP16 value is rounded, and overflows, as it would when stored.
"""

from pathlib import Path
from typing import TypeAlias

import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, shape_inference

Session: TypeAlias = onnxruntime.InferenceSession

RAW = "_raw"
"""Suffix of the name of an FP16 value before it is rounded."""

_FLOATS = (TensorProto.FLOAT16, TensorProto.FLOAT)


def session_of(
    model: ModelProto | Path, threads: int = 0, *, optimised: bool = True, qdq: bool = True
) -> Session:
    """Return a session.

    model      or a file; of a large one, ONNX Runtime then makes no second copy
    threads    number of CPU threads; 0 is one per core
    optimised  let ONNX Runtime change the graph; even its lowest level merges casts, so that FP16 values
               are computed in FP32 without being rounded
    qdq        use INT8 kernels where values are quantised
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # runs are few and long
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not qdq:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    return Session(content, options, providers=["CPUExecutionProvider"])


def rounding_session(model: ModelProto, *, watched: bool = False) -> Session:
    """Open a model so that every FP16 value between two nodes is rounded.

    watched  also return the value of every node with FP16 or FP32 output, after the model's own outputs
    """
    return session_of(rounded(model, watched=watched), optimised=False)


def rounded(model: ModelProto, *, watched: bool = False) -> ModelProto:
    """Return a model with an Identity after every node output that is FP16.

    Identity has an FP16 kernel, so the value is converted to FP16 on its way: the casts on both sides of it
    are not adjacent. `watched` is as in `rounding_session`.
    """
    values = {value.name: value for value in _values(model)}
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        changed = NodeProto()
        changed.CopyFrom(node)
        nodes.append(changed)
        for i, name in enumerate(node.output):
            if name in values and _type(values[name]) == TensorProto.FLOAT16:
                changed.output[i] = name + RAW
                nodes.append(helper.make_node("Identity", [name + RAW], [name], name=f"{name}_rounded"))
    del graph.node[:]
    graph.node.extend(nodes)
    if watched:
        given = {value.name for value in graph.output}
        made = [name for node in model.graph.node for name in node.output if name not in given]
        graph.output.extend(values[name] for name in made if _type(values[name]) in _FLOATS)
    return result


def _values(model: ModelProto) -> list[ValueInfoProto]:
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    return [*graph.value_info, *graph.output]


def _type(value: ValueInfoProto) -> int:
    return value.type.tensor_type.elem_type
