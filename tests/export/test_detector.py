from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from base.errors import CheckpointError
from export.detector import NAMES, main, make_dynamic

BUNDLED = Path(__file__).parents[2] / "runtime" / "data" / "centerface.onnx"
CHANNELS = {"537": 1, "538": 2, "539": 2, "540": 10}


@pytest.fixture
def published(tmp_path):
    """A small network with the published file's names, fixed shape, weights as inputs, and batch norms."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for name, channels in CHANNELS.items():
        kernel = rng.normal(size=(channels, 3, 4, 4)).astype(np.float32) / 255
        weights.append(numpy_helper.from_array(kernel, f"kernel{name}"))
        for part in ("scale", "bias", "mean", "var"):
            values = rng.uniform(0.5, 1.5, channels).astype(np.float32)
            weights.append(numpy_helper.from_array(values, f"{part}{name}"))
        nodes.append(helper.make_node("Conv", ["input.1", f"kernel{name}"], [f"conv{name}"], strides=[4, 4]))
        norm = [f"conv{name}", *(f"{part}{name}" for part in ("scale", "bias", "mean", "var"))]
        nodes.append(helper.make_node("BatchNormalization", norm, [name]))
    inputs = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [10, 3, 32, 32])]
    inputs += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [10, channels, 8, 8])
        for name, channels in CHANNELS.items()
    ]
    graph = helper.make_graph(nodes, "published", inputs, outputs, weights)
    path = tmp_path / "published.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4), path)
    return path


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_the_converted_file_takes_any_size_and_answers_as_before(published, tmp_path):
    target = tmp_path / "dynamic.onnx"
    make_dynamic(published, target)
    photo = np.random.default_rng(1).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    wide = np.concatenate(list(photo), axis=2)[None]  # ten squares side by side, as one picture
    new = session(target)
    names = [value.name for value in new.get_outputs()]
    assert sorted(names) == sorted(set(NAMES.values()) - {"photo"})
    for name, old in zip(CHANNELS, session(published).run(list(CHANNELS), {"input.1": photo}), strict=True):
        (answer,) = new.run([NAMES[name]], {"photo": wide})
        np.testing.assert_allclose(answer[0], np.concatenate(list(old), axis=2), atol=1e-4)


def test_the_same_source_gives_the_same_bytes(published, tmp_path):
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    make_dynamic(published, one)
    make_dynamic(published, other)
    assert one.read_bytes() == other.read_bytes()


def test_weights_are_no_inputs_and_norms_are_folded_in(published, tmp_path):
    assert main([str(published), "-o", str(tmp_path / "dynamic.onnx")]) == 0
    graph = onnx.load(tmp_path / "dynamic.onnx").graph
    assert [value.name for value in graph.input] == ["photo"]
    assert {node.op_type for node in graph.node} == {"Conv"}


@pytest.mark.parametrize("content", [None, b"not a network", BUNDLED.read_bytes()])
def test_a_foreign_file_is_one_line_and_writes_nothing(tmp_path, capsys, content):
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(CheckpointError):
        make_dynamic(source, target)
    assert main([str(source), "-o", str(target)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not target.exists()


def test_the_bundled_file_is_a_converted_one():
    bundled = session(BUNDLED)
    assert [value.shape for value in bundled.get_inputs()] == [["batch", 3, "height", "width"]]
    answers = bundled.run(None, {"photo": np.zeros((2, 3, 64, 96), np.float32)})
    assert [answer.shape for answer in answers] == [(2, c, 16, 24) for c in (1, 2, 2, 10)]
