"""Put quantisation into a graph, where the engine that runs it wants it.

TensorRT ("Working with Quantized Types": explicit quantisation; Q is QuantizeLinear, DQ DequantizeLinear):

- scales are constants, the zero point is 0, activations have one scale, weights one per output channel;
- a convolution is INT8 when a DQ is right before its input and another before its weights; the weights are
  stored as INT8, with their DQ alone;
- nothing stands between a convolution and what it fuses with, bias and activation: the next Q comes after
  them, and turns the fused kernel's output INT8. So a convolution's output is not quantised by itself;
- biases stay floating-point.

ONNX Runtime on a CPU has INT8 kernels for convolutions that put out INT8, and none that go on with an
activation in floating point: there each convolution has a Q behind it too. Its VNNI kernels multiply
unsigned by signed: activations are UINT8 with a zero point of 128, which is the same symmetric range.
What is left in floating point costs a CPU more than the convolutions: see `cpu_form.py`.
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
    """Return a graph whose layers are INT8, the rest as it was.

    layers  of this graph
    ranges  T of every value that they read and, for the CPU, make
    """
    result = ModelProto()
    result.CopyFrom(model)
    if not layers:
        return result
    tops = {name: ranges[name] for layer in layers for name in layer.inputs}
    if target == "cpu":  # what a layer makes has one scale, so that it can be interleaved as bytes
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
