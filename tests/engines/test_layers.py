import json

from engines.layers import EngineLayer, layers_of_json, layers_of_log, precisions

LOG = """Layers:
Name: __mye1_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 0
Name: /Conv_myl0_1, LayerType: correlation, \
Inputs: [ { Name: a, Dimensions: [-1,3,8,8], Datatype: Float, Format: x }], \
Constants: [ { Name: k, Dimensions: [1], Datatype: Float }], Outputs: [ { Name: b, Dimensions: [-1,4,8,8], \
Datatype: Half, Format: (NHWC) Channel major format }], TacticName: t, StreamId: 0, \
Metadata: [ONNX Layer: /LeakyRelu]\x1f[ONNX Layer: /Conv]\x1f[ONNX Layer: /Conv]
Name: /Conv_1_myl0_2, LayerType: correlation, \
Inputs: [ { Name: b, Dimensions: [-1,4,8,8], Datatype: Int8, Format: x }], Constants: [], \
Outputs: [ { Name: c, Dimensions: [-1,4,8,8], Datatype: Float, Format: x }], TacticName: t, StreamId: 0

I/O Tensors:
 Name: crop, IOMode: Input, DataType: Float, Dimensions: [-1,3,64,64]
"""


def test_a_log_is_read_line_by_line():
    assert layers_of_log(LOG) == (
        EngineLayer("__mye1_myl0_0", "shape_call", ""),
        EngineLayer("/Conv_myl0_1", "correlation", "FP16", ("/LeakyRelu", "/Conv")),
        EngineLayer("/Conv_1_myl0_2", "correlation", "INT8"),
    )


def test_the_json_of_tensorrt_10_and_of_11_say_the_same():
    def layer(output):
        return {"Name": "conv", "LayerType": "CaskConvolution", "Outputs": [{"Name": "y"} | output]}

    ten = json.dumps({"Layers": [layer({"Format/Datatype": "Channel major FP16 format where C % 8 == 0"})]})
    eleven = json.dumps({"Layers": [layer({"Format": "Channel major", "Datatype": "FP16"})]})
    assert layers_of_json(ten) == layers_of_json(eleven)
    assert layers_of_json(ten) == (EngineLayer("conv", "CaskConvolution", "FP16"),)
    assert layers_of_json(ten)[0].convolves


def test_an_engine_without_details_has_names_only():
    assert layers_of_json('{"Layers": ["a", "b"]}') == (EngineLayer("a", "", ""), EngineLayer("b", "", ""))
    assert layers_of_json("not json") == layers_of_json("[]") == ()


def test_layers_are_counted_by_precision():
    layers = [EngineLayer(str(i), "", kind) for i, kind in enumerate(["FP16", "FP32", "", "FP16"])]
    assert precisions(layers) == {"FP16": 2, "FP32": 1}
