"""Insert quantisation nodes into a graph, where its engine expects them.

TensorRT ("Working with Quantized Types": explicit quantisation; Q is QuantizeLinear, DQ DequantizeLinear):

- scales are constants, the zero point is 0, activations have one scale, weights one per output channel;
- a convolution is INT8 if a DQ directly precedes its input and another its weights; the weights are stored as
  INT8, with only their DQ;
- nothing may stand between a convolution and the bias and activation that it fuses with: the next Q comes
  after them, and makes the fused kernel's output INT8. So a convolution's output is not quantised by itself;
- biases stay floating-point.

ONNX Runtime on a CPU has INT8 kernels only for convolutions with INT8 output, so there each convolution is
also followed by a Q. Its VNNI kernels multiply unsigned by signed: activations are UINT8 with a zero point of
128, which is the same symmetric range. Remaining floating-point operations cost a CPU more than the
convolutions: see `cpu_form.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from calibration.int8.cpu_form import factors_in_scales
from calibration.int8.quantisable import Layer
from calibration.watching import shapes_of

Target = Literal["gpu", "cpu"]


def quantised(
    model: ModelProto, layers: Sequence[Layer], ranges: Mapping[str, float], target: Target
) -> ModelProto:
    """Return a graph with the given layers in INT8 and the rest unchanged.

    layers  of this graph
    ranges  T of every value that they read and, for the CPU, write
    """
    result = ModelProto()
    result.CopyFrom(model)
    if not layers:
        return result
    tops = {name: ranges[name] for layer in layers for name in layer.inputs}
    if target == "cpu":  # all outputs of a layer share one scale, so that they can be interleaved as bytes
        for layer in layers:
            tops |= dict.fromkeys(layer.outputs, max(ranges[name] for name in layer.outputs))
    spans = {name: TensorData(lowest=np.float32(-top), highest=np.float32(top)) for name, top in tops.items()}
    quantiser = QDQQuantizer(
        result,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if target == "cpu" else QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, spans),
        nodes_to_quantize=[name for layer in layers for name in layer.convolutions],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": [] if target == "cpu" else ["Conv"],
            "QDQOpTypePerChannelSupportToAxis": {"Conv": 0},
        },
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    graph: ModelProto = quantiser.model.model
    graph.ir_version = model.ir_version
    if target == "cpu":
        graph = factors_in_scales(graph, shapes_of(model))
    onnx.checker.check_model(graph, full_check=True)
    return graph
